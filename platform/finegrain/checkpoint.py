"""A fitted detector as a directory: what it is in config.json, what it learned in safetensors."""

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from math import prod
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from finegrain.backbones import Backbone, aspect_of, framed
from finegrain.data.shots import Shot
from finegrain.decision.thresholds import Thresholds
from finegrain.detectors import Detector, make_detector
from finegrain.errors import CheckpointError, InputError
from finegrain.files import new_directory, write_json

FORMAT = 1
CONFIG, WEIGHTS = "config.json", "detector.safetensors"


class CheckpointConfig(BaseModel):
    """The content of config.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    finegrain: str
    dataset: str
    category: str
    detector: str
    options: dict[str, Any]
    seed: int
    backbone: str
    backbone_sha256: str
    shots: tuple[Shot, ...]
    thresholds: Thresholds | None = None  # decision/calibrate.py
    aspect: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = (
        None  # of images; None: squashed to a square
    )


def save_detector(
    detector: Detector,
    directory: Path,
    *,
    dataset: str,
    category: str,
    shots: Sequence[Shot],
    thresholds: Thresholds | None = None,
) -> None:
    """Write a fitted detector; the directory appears whole or not at all.

    Raises:
        CheckpointError: a threshold or something learned is no finite number.
    """
    state = {name: value.contiguous() for name, value in detector.state().items()}
    check_sound(state, f"{detector.name} of {category}")
    config = CheckpointConfig(
        format=FORMAT,
        finegrain=version("finegrain"),
        dataset=dataset,
        category=category,
        detector=detector.name,
        options=vars(detector.config),
        seed=detector.seed,
        backbone=detector.backbone.name,
        backbone_sha256=detector.backbone.weights_hash,
        shots=tuple(shots),
        thresholds=thresholds,
        aspect=aspect_of(detector.backbone),
    )
    with new_directory(directory) as scratch:
        write_json(scratch / CONFIG, config.model_dump(mode="json"))
        save_file(state, scratch / WEIGHTS)


def check_sound(state: Mapping[str, Tensor], source: str | Path) -> None:
    """CheckpointError where a detector of these would accept every part, whatever it shows."""
    for name, tensor in state.items():
        if not tensor.isfinite().all():
            raise CheckpointError(f"{source}: its tensor {name} has values that are not finite")


def read_config(directory: Path) -> CheckpointConfig:
    """The checkpoint's config.json; CheckpointError where it is missing or not understood."""
    try:
        content = json.loads((directory / CONFIG).read_text())
        found = content.get("format")
        if found != FORMAT:
            raise CheckpointError(
                f"{directory} has checkpoint format {found}; this version reads {FORMAT}"
            )
        return CheckpointConfig.model_validate(content)
    except FileNotFoundError as error:
        raise CheckpointError(f"{directory} is no checkpoint: {CONFIG} is missing") from error
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError, ValidationError) as error:
        raise CheckpointError(f"{directory / CONFIG} is damaged: {error}") from error


def count_values(directory: Path) -> int:
    """How many numbers the checkpoint holds, by its header alone; CheckpointError if it can't."""
    try:
        with safe_open(directory / WEIGHTS, framework="pt") as stored:
            shapes = [stored.get_slice(name).get_shape() for name in stored.keys()]  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{directory / WEIGHTS} can't be read: {error}") from error
    return sum(prod(shape) for shape in shapes)


def load_detector(directory: Path, backbone: Backbone) -> Detector:
    """The fitted detector, on the backbone whose features it was fitted on, framed as it was then.

    Raises:
        CheckpointError: incomplete, damaged, or made with other backbone weights.
    """
    config = read_config(directory)
    fitted_on = config.backbone, config.backbone_sha256
    if fitted_on != (backbone.name, backbone.weights_hash):
        raise CheckpointError(
            f"{directory} was fitted on backbone {config.backbone} with weights "
            f"{config.backbone_sha256[:12]}; got {backbone.name} with weights "
            f"{backbone.weights_hash[:12]}. "
            "Load that backbone, or fit again"
        )
    try:
        view = framed(backbone, config.aspect)
        detector = make_detector(config.detector, view, config.options, seed=config.seed)
        state = load_file(directory / WEIGHTS)
        check_sound(state, directory / WEIGHTS)
        detector.load_state(state)
    except KeyError as error:
        raise CheckpointError(
            f"{directory} was written by another version ({config.finegrain}): its tensor "
            f"{error} is missing; fit again"
        ) from error
    except (OSError, SafetensorError, InputError) as error:
        raise CheckpointError(f"{directory} can't be loaded: {error}") from error
    return detector
