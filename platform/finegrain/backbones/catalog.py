"""The table of all backbones: how each is loaded, whether it reads, where its weights lie."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from finegrain.backbones.backbone import Backbone
from finegrain.backbones.clip.bundled import BundledClip
from finegrain.backbones.clip.openclip_models import MODELS
from finegrain.backbones.efficientnet import EfficientNetLite1
from finegrain.backbones.pixels import Pixels
from finegrain.backbones.timm_towers import HUB, TOWERS, load_tower
from finegrain.errors import ConfigError


@dataclass(frozen=True)
class BackboneSpec:
    """A row of the table.

    Args:
        load: weights, device and precision -> the model.
        reads_text: whether it is a `FrozenClip`.
        weights: what the user must give for its weights; None where it brings its own.
        any_dtype: whether it computes in other precisions than float32.
    """

    load: Callable[[str, str, torch.dtype], Backbone]
    reads_text: bool = False
    weights: str | None = None
    any_dtype: bool = False


def _open_clip(name: str) -> BackboneSpec:
    def load(weights: str, device: str, dtype: torch.dtype) -> Backbone:
        from finegrain.backbones.clip.openclip import load_open_clip  # open_clip takes seconds

        return load_open_clip(name, weights, device=device, dtype=dtype)

    return BackboneSpec(
        load,
        reads_text=True,
        weights="a file in open_clip's format or one of its tags",
        any_dtype=True,
    )


def _timm(name: str) -> BackboneSpec:
    return BackboneSpec(
        lambda weights, device, _: load_tower(name, weights, device),
        weights=f"a file in timm's format, or {HUB!r}",
    )


BACKBONES: dict[str, BackboneSpec] = {
    BundledClip.name: BackboneSpec(
        lambda _, device, dtype: BundledClip(device, dtype), reads_text=True, any_dtype=True
    ),
    EfficientNetLite1.name: BackboneSpec(lambda _weights, device, _: EfficientNetLite1(device)),
    **{name: _timm(name) for name in TOWERS},
    **{name: _open_clip(name) for name in MODELS},
}


def check_backbone(name: str, weights: str | None, *, reads_text: bool = False) -> None:
    """ConfigError where `load_backbone` could not succeed, told without loading anything."""
    if name not in BACKBONES:
        raise ConfigError(f"no backbone {name!r}; known: {', '.join(BACKBONES)}")
    spec = BACKBONES[name]
    if reads_text and not spec.reads_text:
        readers = ", ".join(other for other, one in BACKBONES.items() if one.reads_text)
        raise ConfigError(f"backbone {name} reads no text; those that do: {readers}")
    if spec.weights and not weights:
        raise ConfigError(f"backbone {name} needs weights: {spec.weights}")
    if weights and not spec.weights:
        raise ConfigError(f"backbone {name} brings its own weights; leave out {weights}")


def load_backbone(
    name: str,
    device: str = "cpu",
    weights: str | Path | None = None,
    dtype: torch.dtype = torch.float32,
) -> Backbone:
    """The frozen model of that name; the errors of `check_backbone` and its loader."""
    if side := Pixels.side_of(name):
        return Pixels(device, side)
    given = str(weights) if weights else ""
    check_backbone(name, given)
    if dtype != torch.float32 and not BACKBONES[name].any_dtype:
        raise ConfigError(f"{name} computes in float32 alone, not {dtype}")
    return BACKBONES[name].load(given, device, dtype)
