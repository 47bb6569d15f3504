"""Reading a model's weights from a file that a stranger may have made: tensors, never code."""

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from finegrain.errors import CheckpointError

PICKLED = (".pt", ".pth", ".bin", ".ckpt")
MAX_NAMED = 3  # tensors that an error message names


def read_weights(path: Path) -> dict[str, Tensor]:
    """The state dict in a .safetensors file or in a pickled one, which may wrap it.

    Raises:
        CheckpointError: missing, of another kind, truncated, or with more in it than tensors.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} is no file; needed weights in open_clip's format")
    if path.suffix != ".safetensors" and path.suffix not in PICKLED:
        known = ", ".join((".safetensors", *PICKLED))
        raise CheckpointError(f"{path} has the suffix {path.suffix!r}; needed one of {known}")
    try:
        if path.suffix == ".safetensors":
            stored: Any = load_file(path)
        else:
            stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can fail anywhere in the unpickler
        raise CheckpointError(
            f"{path} can't be read as tensors alone, so nothing of it was run: {_reason(error)}. "
            "Needed a whole .safetensors file or a pickled state dict; get it again, or save the "
            "model's state dict as .safetensors where you trust the file"
        ) from error
    return _unwrap(path, stored)


def check_fit(
    path: Path, weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor], model: str
) -> None:
    """CheckpointError names the tensors by which a file does not fit the model's own."""
    faults = [f"{name} is missing" for name in wanted.keys() - weights.keys()]
    faults += [f"{name} is not {model}'s" for name in weights.keys() - wanted.keys()]
    faults += [
        f"{name} is {_shape(weights[name])} where {_shape(wanted[name])} is needed"
        for name in wanted.keys() & weights.keys()
        if weights[name].shape != wanted[name].shape
    ]
    if faults:
        named = "; ".join(sorted(faults)[:MAX_NAMED])
        more = f"; and {len(faults) - MAX_NAMED} more" if len(faults) > MAX_NAMED else ""
        raise CheckpointError(
            f"{path} does not hold the weights of {model}: {named}{more}. "
            f"Name the architecture that the file was made for, or get the weights of {model}"
        )


def _reason(error: Exception) -> str:
    """What is wrong with the file; torch's own words advise to run what it holds."""
    forbidden = re.search(r"GLOBAL (\S+)", str(error))
    if forbidden:
        return f"it would call {forbidden[1]}"
    if "TorchScript" in str(error):
        return "it is a TorchScript archive, which is a program"
    if isinstance(error, pickle.UnpicklingError):
        return "its pickle holds more than tensors, or is damaged"
    return "it is damaged or cut short"


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "a scalar"


def _unwrap(path: Path, stored: Any) -> dict[str, Tensor]:
    """Out of a training checkpoint, and without the prefix that data-parallel training gives."""
    if isinstance(stored, dict) and "state_dict" in stored:
        stored = stored["state_dict"]
    if not isinstance(stored, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in stored.items()
    ):
        raise CheckpointError(f"{path} holds no state dict; needed names with a tensor each")
    return {name.removeprefix("module."): value for name, value in stored.items()}
