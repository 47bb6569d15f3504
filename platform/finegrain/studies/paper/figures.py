"""The figures that benchmarks leave on disk, put together."""

from collections.abc import Callable, Mapping
from pathlib import Path

from finegrain.backbones import load_backbone
from finegrain.benchmark.plan import TrialResult, plan
from finegrain.benchmark.store import load, stored_results
from finegrain.benchmark.trial import HEATMAPS
from finegrain.checkpoint import load_detector
from finegrain.data.images import read_rgb
from finegrain.detectors.finegrained import FineGrained
from finegrain.evaluation.figures import compared, png
from finegrain.studies.ablations import curve_values
from finegrain.studies.curves import plot_curves
from finegrain.studies.paper.components import component_picture
from finegrain.studies.paper.exhibits import Group

Pictures = Mapping[str, bytes]  # what a picture shows -> PNG


def _first_seed(directory: Path) -> list[TrialResult]:
    """The results that have a checkpoint, of the first seed at the most shots."""
    benchmark = load(directory)
    trials = plan(benchmark)
    results = stored_results(directory, trials)
    chosen = [
        results[trial.name]
        for trial in trials
        if (trial.seed, trial.shots) == (benchmark.seeds[0], max(benchmark.shots))
        and trial.name in results
    ]
    return [result for result in chosen if result.checkpoint]


def heatmaps_by_method(groups: Mapping[Group, Path]) -> Pictures:
    """Figure 5: a picture a category, the maps of all methods below the same test images."""
    strips: dict[str, dict[str, Path]] = {}
    for directory in groups.values():
        for result in _first_seed(directory):
            assert result.checkpoint
            path = result.checkpoint.parent / HEATMAPS
            if path.is_file():
                place = strips.setdefault(f"{result.trial.dataset}_{result.trial.category}", {})
                place[result.trial.method] = path
    return {
        title: png(compared({name: read_rgb(path) for name, path in found.items()}, title))
        for title, found in strips.items()
    }


def regions_by_component(groups: Mapping[Group, Path]) -> Pictures:
    """Figure 6: a picture a category, the components' regions on its shots and on test images."""
    pictures = {}
    for directory in groups.values():
        benchmark = load(directory)
        clip = load_backbone(benchmark.backbone, weights=benchmark.weights)
        for result in _first_seed(directory):
            assert result.checkpoint
            trial = result.trial
            detector = load_detector(result.checkpoint, clip)
            if isinstance(detector, FineGrained):
                category = trial.load_category()
                shots = [read_rgb(shot.path) for shot in result.support]
                title = f"{trial.dataset}_{trial.category}"
                pictures[title] = png(component_picture(detector, shots, category, title))
    return pictures


def hyperparameter_curves(groups: Mapping[Group, Path]) -> Pictures:
    """Figure 7: a picture a hyperparameter."""
    return {
        f"{group.dataset}_{group.ablation}": plot_curves(
            f"{group.ablation}, {group.dataset}", *curve_values(directory)
        )
        for group, directory in groups.items()
    }


FIGURES: Mapping[str, Callable[[Mapping[Group, Path]], Pictures]] = {
    "figure-5": heatmaps_by_method,
    "figure-6": regions_by_component,
    "figure-7": hyperparameter_curves,
}
