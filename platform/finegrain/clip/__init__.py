"""Frozen image models: pixels in, tokens out; and the CLIPs among them, which also read text.

tokens.py        PatchTokens, what a model says about images
windows.py       Windows of patches, which an image may be encoded in beside whole
backbone.py      Backbone, the face of every model; preprocessing; batched encoding
frozen_clip.py   FrozenClip, the face of those with a text tower
efficientnet.py  EfficientNet-Lite1, ImageNet weights from the package index
timm_towers.py   ResNets and DINOv2 of timm: from its hub or from a file
openclip.py      open_clip's ViTs: by tag or from a file (weights_file.py), with the value-value
                 path beside the ordinary one (vv_attention.py), and windows (window_attention.py)
bundled.py       the CLIP that comes with the package, on EfficientNet-Lite1 (grounded.py: its
                 image_heads.py and text_tower.py; word_pieces.py: CLIP's tokens)
timing.py        what both paths cost
pixels.py        the image itself, for detectors that bring an encoder of their own
"""

from pathlib import Path

import torch

from finegrain.clip.backbone import Backbone, RemoteBackbone, RgbImage, encode
from finegrain.clip.bundled import BundledClip
from finegrain.clip.efficientnet import EfficientNetLite1
from finegrain.clip.frozen_clip import FrozenClip
from finegrain.clip.openclip import MODELS, load_open_clip
from finegrain.clip.pixels import Pixels
from finegrain.clip.timm_towers import HUB, TOWERS, load_tower
from finegrain.clip.tokens import PatchTokens
from finegrain.clip.windows import Windows
from finegrain.errors import ConfigError

__all__ = [
    "BACKBONES",
    "Backbone",
    "BundledClip",
    "FrozenClip",
    "PatchTokens",
    "RemoteBackbone",
    "RgbImage",
    "Windows",
    "check_backbone",
    "encode",
    "load_backbone",
]

OFFLINE = (EfficientNetLite1.name, BundledClip.name)
BACKBONES = (*sorted(OFFLINE), *TOWERS, *MODELS)
ONLY_SEE = (EfficientNetLite1.name, *TOWERS)


def check_backbone(name: str, weights: str | None, *, reads_text: bool = False) -> None:
    """ConfigError where `load_backbone` could not succeed, told without loading anything."""
    if name not in BACKBONES:
        raise ConfigError(f"no backbone {name!r}; known: {', '.join(BACKBONES)}")
    if reads_text and name in ONLY_SEE:
        readers = ", ".join(other for other in BACKBONES if other not in ONLY_SEE)
        raise ConfigError(f"backbone {name} reads no text; those that do: {readers}")
    if name in MODELS and not weights:
        raise ConfigError(
            f"backbone {name} needs weights: a file in open_clip's format or one of its tags"
        )
    if name in TOWERS and not weights:
        raise ConfigError(f"backbone {name} needs weights: a file in timm's format, or {HUB!r}")
    if name in OFFLINE and weights:
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
    check_backbone(name, str(weights) if weights else None)
    if name == BundledClip.name:
        return BundledClip(device, dtype)
    if weights and name in MODELS:
        return load_open_clip(name, weights, device=device, dtype=dtype)
    if dtype != torch.float32:
        raise ConfigError(f"{name} computes in float32 alone, not {dtype}")
    return load_tower(name, weights, device) if weights else EfficientNetLite1(device)
