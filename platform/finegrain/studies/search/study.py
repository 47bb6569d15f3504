"""Whether the validation score is worth following: does it rank settings as the test set does?"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from scipy.stats import spearmanr

from finegrain.files import write_bytes, write_text
from finegrain.studies.curves import rendered
from finegrain.studies.search.spec import Search, Setting
from finegrain.tables import UNDEFINED, markdown

LEAST = 5  # settings, below which a rank correlation says nothing
METRICS = ("image_auroc", "pixel_auroc", "aupro_30")
MEAN = "mean of all"


def write_study(search: Search, settings: Mapping[str, Setting], directory: Path) -> list[Path]:
    """Write correlation.md and correlation.png; returns the files, none with too few settings."""
    measured = [s for s in settings.values() if s.steps and s.steps[-1].test]
    if len(measured) < LEAST:
        return []
    pairs = {
        place: {metric: _pairs(measured, place, metric) for metric in METRICS}
        for place in (*search.benchmark.categories, MEAN)
    }
    files = [directory / "correlation.md", directory / "correlation.png"]
    write_text(files[0], study_text(search, len(measured), pairs) + "\n")
    write_bytes(files[1], _scatter(pairs))
    return files


Pairs = Mapping[str, Mapping[str, Sequence[tuple[float, float]]]]  # place -> metric -> pairs


def study_text(search: Search, settings: int, pairs: Pairs) -> str:
    """Spearman's ρ between validation and test, and what following the validation costs."""
    rows = []
    for place, by_metric in pairs.items():
        row = [place]
        for metric in METRICS:
            found = by_metric[metric]
            row.append(rank_correlation(found))
            chosen = max(found)[1] if found else None
            best = max((test for _, test in found), default=None)
            row.append(UNDEFINED if chosen is None else f"{chosen:.1f} of {best:.1f}")
        rows.append(row)
    header = ["", *(title for metric in METRICS for title in (metric, "chosen of best"))]
    return "\n".join([
        f"{settings} settings of {search.method}, {search.benchmark.dataset}, "
        f"{search.benchmark.shots[0]} shots, seed {search.benchmark.seeds[0]}.",
        "Spearman's rank correlation of the validation score with the test score, and the test",
        "score of the setting that the validation chooses, of the best one's.",
        "",
        markdown(header, rows),
    ])  # fmt: skip


def rank_correlation(pairs: Sequence[tuple[float, float]]) -> str:
    """Spearman's ρ, a dash where one side never changes."""
    if any(len(set(side)) < 2 for side in zip(*pairs, strict=True)) or not pairs:
        return UNDEFINED
    return f"{spearmanr(*zip(*pairs, strict=True)).statistic:.2f}"


def _pairs(settings: Sequence[Setting], place: str, metric: str) -> list[tuple[float, float]]:
    """Validation and test of each setting in percent, where both are defined."""
    found = []
    for setting in settings:
        step = setting.steps[-1]
        places = step.validation if place == MEAN else (place,)
        both = [
            [getattr(scores[name], metric) for name in places]
            for scores in (step.validation, step.test)
        ]
        if None not in both[0] + both[1]:
            found.append((100 * sum(both[0]) / len(both[0]), 100 * sum(both[1]) / len(both[1])))
    return found


def _scatter(pairs: Pairs) -> bytes:
    """A panel a place and metric: each setting's validation and test score."""
    rows, columns = len(METRICS), len(pairs)
    figure = Figure(figsize=(2.6 * columns, 2.5 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False)
    for column, (place, by_metric) in enumerate(pairs.items()):
        for row, metric in enumerate(METRICS):
            axes, found = panels[row][column], by_metric[metric]
            axes.scatter(*zip(*found, strict=True), s=12, alpha=0.7) if found else None
            axes.set_title(f"{place}: ρ = {rank_correlation(found)}", fontsize=9)
            axes.tick_params(labelsize=7)
            axes.grid(alpha=0.3)
            if column == 0:
                axes.set_ylabel(f"{metric}\ntest, %", fontsize=8)
            if row == rows - 1:
                axes.set_xlabel("validation, %", fontsize=8)
    return rendered(figure)
