"""The ablations of the paper as variants of one method.

Nothing dear is imported, so that their names are quickly known.
"""

import json
from collections.abc import Mapping

from finegrain.errors import ConfigError

Options = Mapping[str, object]  # dotted option -> value

_PLAIN = {"training.epochs": 0, "scoring.token_wise": False}
_NO_LOSS = {f"losses.{name}": 0 for name in ("clip", "triplet", "mean", "regularization")}


def _objectives(*names: str) -> Options:
    """Only these objectives, at their own weights; the query's always stays."""
    return {key: value for key, value in _NO_LOSS.items() if key.partition(".")[2] not in names}


ABLATIONS: dict[str, dict[str, Options]] = {
    "objectives": {  # table 3
        "none": {"training.epochs": 0},
        "clip": _objectives("clip"),
        "clip+triplet": _objectives("clip", "triplet"),
        "clip+triplet+mean": {},
        "clip+triplet+mean+regularization": {"losses.regularization": 1},
    },
    "components": {  # table 4
        "baseline": {**_PLAIN, "prompts.multi_level": False},
        "multi-level": _PLAIN,
        "multi-level+alignment": {"scoring.token_wise": False},
        "multi-level+token-wise": {"training.epochs": 0},
        "all": {},
    },
    "regions": {
        "none": {
            "regions.semantic_centers": False,
            "regions.semantic_dimension": False,
            "regions.two_stages": False,
            "regions.fine_resolution": False,
        },
        "no-semantic-centers": {"regions.semantic_centers": False},
        "no-semantic-dimension": {"regions.semantic_dimension": False},
        "no-two-stages": {"regions.two_stages": False},
        "no-fine-resolution": {"regions.fine_resolution": False},
        "all": {},
    },
    "fusion": {
        "visual": {"scoring.fusion": "visual", "training.epochs": 0},
        "prompt": {"scoring.fusion": "prompt"},
        "harmonic": {"scoring.fusion": "harmonic"},
        "weighted": {},
    },
    "memory": {
        "equation-1": {"memory.radius": None, "memory.joint": False},
        "near": {"memory.joint": False},
        "joint": {"memory.radius": None},
        "all": {},
    },
    "paper": {  # every departure switched back
        "paper": {
            "memory.radius": None,
            "memory.joint": False,
            "losses.mean": 0.001,
            "losses.regularization": 1,
            "scoring.fusion": "harmonic",
            "scoring.matching": "query",
        },
        "all": {},
    },
    "matching": {
        "mean": {"scoring.token_wise": False},
        "query": {"scoring.matching": "query"},
        "prompt": {},
    },
    "reweighting": {"off": {"scoring.reweighting": False}, "on": {}},
    "temperature": {f"{t}": {"scoring.temperature": t} for t in (5, 10, 20, 40, 80)},
    "learnable": {f"{n}": {"prompts.learnable": n} for n in (1, 2, 4, 6)},
    "margin": {f"{m}".replace(".", "-"): {"losses.margin": m} for m in (0.5, 1.0, 1.5, 2.0)},
    "eta": {f"{e}".replace(".", "-"): {"losses.eta": e} for e in (0.5, 1.0, 1.5, 2.0)},
    "region-weight": {
        f"{w}".replace(".", "-"): {"regions.weight": w} for w in (0.0, 0.5, 1.0, 1.5, 2.0)
    },
}
CURVES = ("temperature", "learnable", "margin", "eta", "region-weight")  # figure 7


def ablation_grid(name: str, method: str = "finegrained") -> dict[str, tuple[str, ...]]:
    """`methods` and `options` of the grid of one ablation; ConfigError lists the known ones."""
    if name not in ABLATIONS:
        raise ConfigError(f"no ablation {name!r}; known: {', '.join(ABLATIONS)}")
    variants = ABLATIONS[name]
    return {
        "methods": tuple(f"{method}:{label}" for label in variants),
        "options": tuple(
            f"{method}:{label}.{option}={_json(value)}"
            for label, options in variants.items()
            for option, value in options.items()
        ),
    }


def _json(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
