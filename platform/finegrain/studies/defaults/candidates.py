"""The changes of FineGrainedAD's default that the study tries."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from finegrain.errors import ConfigError
from finegrain.method.paper import PAPER, dotted

DEFAULT = "default"
VALUES: Mapping[str, Sequence[Any]] = {
    "memory.turned": (False, True),
    "memory.near": (0.0, 0.25, 0.5, 1.0),
    "memory.joint": (False, True),
    "memory.finest": (1.0, 2.0),
    "memory.usual": (0.0, 0.25),
    "scoring.image": ("visual", "map", "tail"),
    "scoring.temperature": (None, "log"),
    "scoring.matching": ("query", "prompt"),
    "scoring.fusion": ("weighted", "harmonic", "visual", "prompt"),  # the last two: VAD, PAD alone
    "losses.mean": (0.001, 10.0),
    "losses.regularization": (0.0, 1.0),
    "training.epochs": (0, 30, 100),
}
# Dotted options by a candidate's name. What the default has already is left out by `run`.
CANDIDATES: Mapping[str, Mapping[str, Any]] = {
    f"{option}={value if isinstance(value, str) else json.dumps(value)}": {option: value}
    for option, values in VALUES.items()
    for value in values
}
# Those that give an option the paper's value: the default departs from the paper there.
OF_PAPER = frozenset(
    name
    for name, changes in CANDIDATES.items()
    if all(dotted(PAPER)[option] == value for option, value in changes.items())
)


def chosen_candidates(names: Sequence[str] = ()) -> dict[str, Mapping[str, Any]]:
    """The default and the candidates of those names, all without any; ConfigError lists them."""
    if unknown := [name for name in names if name not in CANDIDATES]:
        raise ConfigError(
            f"no candidate {', '.join(map(repr, unknown))}; known: {', '.join(CANDIDATES)}"
        )
    return {DEFAULT: {}, **{name: CANDIDATES[name] for name in names or CANDIDATES}}
