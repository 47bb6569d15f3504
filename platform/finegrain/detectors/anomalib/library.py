"""anomalib itself, imported only when one of its models is asked for."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from types import ModuleType

from finegrain.errors import ConfigError

# Not fitted on normal images (prompted instead), or fitted on point clouds beside them
UNFITTED = {"AnomalyVFM", "CFM", "VlmAd", "WinClip"}


@cache
def image_models() -> ModuleType:
    """anomalib's image models; ConfigError without the extra."""
    try:
        with quiet():
            return import_module("anomalib.models.image")
    except ImportError as error:
        raise ConfigError(
            f"models of anomalib need an extra: pip install 'finegrain[anomalib]' ({error})"
        ) from error


def known_models() -> tuple[str, ...]:
    """The models that can be fitted on normal images."""
    return tuple(sorted(name for name in image_models().__all__ if name not in UNFITTED))


def known_name(model: str) -> str:
    """anomalib's own spelling of a model's name; ConfigError lists the known ones."""
    known = known_models()
    plain = model.replace("_", "").replace("-", "").lower()
    found = [name for name in known if name.lower() == plain]
    if not found:
        raise ConfigError(f"anomalib has no image model {model!r}; known: {', '.join(known)}")
    return found[0]


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings and the log of anomalib and Lightning."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
