"""The ablations of the paper as variants of one method, to be run as an ordinary benchmark."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from finegrain.benchmark.plan import plan
from finegrain.benchmark.report import rows_of
from finegrain.benchmark.store import load, stored_results
from finegrain.cluster.connect import Share
from finegrain.cluster.full import Tell, full_benchmark
from finegrain.errors import ConfigError
from finegrain.files import write_bytes
from finegrain.method.paper import PAPER, dotted
from finegrain.places import runs_folder
from finegrain.studies.curves import plot_curves

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
        "equation-1": {"memory.radius": None, "memory.joint": False, "memory.turned": False},
        "anywhere": {"memory.radius": None},
        "near-alone": {"memory.near": 1},
        "upright": {"memory.turned": False},
        "without-joint": {"memory.joint": False},
        "all": {},
    },
    "paper": {"paper": dotted(PAPER), "default": {}},
}
ABLATIONS = {**OF_PAPER, **OF_DEFAULT}
CURVES = ("temperature", "learnable", "margin", "eta", "region-weight")  # figure 7


def run_ablations(
    names: Sequence[str], grid: Mapping[str, Any], output: Path | None, share: Share, tell: Tell
) -> bool:
    """Each ablation as a benchmark of that grid, below `output`; True if all are complete."""
    folder = output or runs_folder() / "ablations"
    complete = True
    for name in names:
        tell(f"\nAblation: {name}")
        directory = folder / name
        begun = (directory / "benchmark.json").exists()
        done = full_benchmark(
            {} if begun else {**grid, **ablation_grid(name)},
            output=None if begun else directory,
            resume=str(directory) if begun else None,
            tracking_uri=None,
            share=share,
            tell=tell,
        )
        complete &= done
        if done and name in CURVES:
            write_bytes(directory / "plot_curves.png", plot_curves(name, *curve_values(directory)))
            tell(f"Curves: {directory / 'plot_curves.png'}")
    return complete


def curve_values(directory: Path) -> tuple[list[str], dict[str, list[float]]]:
    """The variants of a benchmark, with the means of both AUROCs where defined."""
    benchmark = load(directory)
    trials = plan(benchmark)
    rows = rows_of(trials, stored_results(directory, trials))
    labels = {method: method.partition(":")[2].replace("-", ".") for method in benchmark.methods}
    means = {}
    for shown, score in (("image AUROC", "image_auroc"), ("pixel AUROC", "pixel_auroc")):
        found = [[r.scores[score] for r in rows if r.method == method] for method in labels]
        defined = [[value for value in values if value is not None] for values in found]
        if all(defined):  # pixel scores need masks
            means[shown] = [fmean(values) for values in defined]
    return list(labels.values()), means


def ablation_grid(name: str, method: str = "finegrained") -> dict[str, list[str]]:
    """`methods` and `options` of `resolve` for one ablation; ConfigError lists the known ones."""
    if name not in ABLATIONS:
        raise ConfigError(f"no ablation {name!r}; known: {', '.join(ABLATIONS)}")
    common = dotted(PAPER) if name in OF_PAPER else {}
    variants = {label: {**common, **options} for label, options in ABLATIONS[name].items()}
    return {
        "methods": [f"{method}:{label}" for label in variants],
        "options": [
            f"{method}:{label}.{option}={_json(value)}"
            for label, options in variants.items()
            for option, value in options.items()
        ],
    }


def _json(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
