"""The ablations of the paper, each run as an ordinary benchmark."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from finegrain.benchmark.grid import Grid
from finegrain.benchmark.plan import plan, resolve
from finegrain.benchmark.report import rows_of
from finegrain.benchmark.store import create_or_replace, load, stored_results
from finegrain.cluster.connect import Share
from finegrain.cluster.full import Tell, run_benchmark
from finegrain.files import write_bytes
from finegrain.places import runs_folder
from finegrain.studies.curves import plot_curves
from finegrain.studies.variants import CURVES, ablation_grid


def run_ablations(
    names: Sequence[str], grid: Grid, output: Path | None, share: Share, tell: Tell
) -> bool:
    """Each ablation as a benchmark of that grid, below `output`; True if all are complete.

    What was run before of the same grid stays; a changed grid keeps the results that belong to it.
    """
    folder = (output or runs_folder() / "ablations").resolve()
    complete = True
    for name in names:
        tell(f"\nAblation: {name}")
        directory = folder / name
        benchmark = resolve(grid.model_copy(update=ablation_grid(name)), beside=folder)
        create_or_replace(benchmark, directory)
        done = run_benchmark(benchmark, directory, share, tell)
        complete &= done
        if done and name in CURVES:
            write_bytes(directory / "curves.png", plot_curves(name, *curve_values(directory)))
            tell(f"Curves: {directory / 'curves.png'}")
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
