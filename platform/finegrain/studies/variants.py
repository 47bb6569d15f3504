"""The ablations of the paper as variants of one method: of `finegrained:paper`, or of the default.

Nothing dear is imported, so that their names are quickly known.
"""

import json
from collections.abc import Mapping

from finegrain.errors import ConfigError
from finegrain.method.paper import PAPER, dotted

Options = Mapping[str, object]  # dotted option -> value


def _objectives(*names: str) -> Options:
    """Only these objectives, at their own weights; the query's always stays."""
    off = (n for n in ("clip", "triplet", "mean", "regularization") if n not in names)
    return {f"losses.{name}": 0 for name in off}


_UNALIGNED: Options = {"regions.weight": 0}  # trained, every token alike
_UNMATCHED: Options = {"scoring.token_wise": False}
OF_PAPER: dict[str, dict[str, Options]] = {  # what each variant changes in the paper's method
    "objectives": {  # table 3
        "none": _objectives(),
        "clip": _objectives("clip"),
        "clip+triplet": _objectives("clip", "triplet"),
        "clip+triplet+mean": _objectives("clip", "triplet", "mean"),
        "clip+triplet+mean+regularization": {},
    },
    "components": {  # table 4; its baseline is PromptAD's: learnable prompts of the image alone
        "baseline": {"prompts.multi_level": False, **_UNALIGNED, **_UNMATCHED},
        "multi-level": {**_UNALIGNED, **_UNMATCHED},
        "multi-level+alignment": _UNMATCHED,
        "multi-level+token-wise": _UNALIGNED,
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
    "matching": {
        "mean": _UNMATCHED,
        "query": {},
        "prompt": {"scoring.matching": "prompt"},
    },
    "reweighting": {"off": {"scoring.reweighting": False}, "on": {}},
    "readings": {  # where text and published code differ, or the text is open
        "text": {},
        "weighted-tokens": {"losses.weighting": "tokens"},
        "class-token-unseen": {"losses.class_token": False},
        "image-of-equation-1": {"scoring.image": "visual"},
        "log-scale": {"losses.temperature": "log", "scoring.temperature": "log"},
    },
    "temperature": {f"{t}": {"scoring.temperature": t} for t in (5, 10, 20, 40, 80)},
    "learnable": {f"{n}": {"prompts.learnable": n} for n in (1, 2, 4, 6)},
    "margin": {f"{m}".replace(".", "-"): {"losses.margin": m} for m in (0.5, 1.0, 1.5, 2.0)},
    "eta": {f"{e}".replace(".", "-"): {"losses.eta": e} for e in (0.5, 1.0, 1.5, 2.0)},
    "region-weight": {
        f"{w}".replace(".", "-"): {"regions.weight": w} for w in (0.0, 0.5, 1.0, 1.5, 2.0)
    },
}
OF_DEFAULT: dict[str, dict[str, Options]] = {  # what each variant changes in the default
    "fusion": {
        "visual": {"scoring.fusion": "visual", "training.epochs": 0},
        "prompt": {"scoring.fusion": "prompt"},
        "harmonic": {"scoring.fusion": "harmonic"},
        "weighted": {},
    },
    "memory": {
        "equation-1": {
            "memory.radius": None,
            "memory.joint": False,
            "memory.turned": False,
            "memory.finest": 1,
            "memory.usual": 0,
        },
        "anywhere": {"memory.radius": None},
        "near-alone": {"memory.near": 1},
        "upright": {"memory.turned": False},
        "without-joint": {"memory.joint": False},
        "levels-alike": {"memory.finest": 1},
        "whole-distance": {"memory.usual": 0},
        "all": {},
    },
    "paper": {"paper": dotted(PAPER), "default": {}},
}
ABLATIONS = {**OF_PAPER, **OF_DEFAULT}
CURVES = ("temperature", "learnable", "margin", "eta", "region-weight")  # figure 7


def ablation_grid(name: str, method: str = "finegrained") -> dict[str, tuple[str, ...]]:
    """`methods` and `options` of the grid of one ablation; ConfigError lists the known ones."""
    if name not in ABLATIONS:
        raise ConfigError(f"no ablation {name!r}; known: {', '.join(ABLATIONS)}")
    common = dotted(PAPER) if name in OF_PAPER else {}
    variants = {label: {**common, **options} for label, options in ABLATIONS[name].items()}
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
