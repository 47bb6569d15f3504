"""Results as tables that line up in a terminal and are Markdown at the same time."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

UNDEFINED = "–"
SHOWN = ("image_auroc", "pixel_auroc", "aupro_30", "image_ap", "pixel_f1")


@dataclass(frozen=True)
class Alarms:
    """What a trial's threshold did, in percent.

    Args:
        asked: false alarms among 100 good parts, that it was calibrated for.
        came: good test images above it; None where there are none.
        found: anomalous ones above it.
    """

    asked: float
    came: float | None
    found: float | None


@dataclass(frozen=True)
class Row:
    """One trial as the tables need it; scores in percent, None where undefined or failed."""

    category: str
    method: str
    shots: int
    seed: int
    scores: Mapping[str, float | None]
    fitted: bool = False  # it ran to its end, whatever is undefined
    alarms: Alarms | None = None  # None where it has no threshold

    @property
    def missing(self) -> bool:
        """Whether there is no score at all, and it was not fitted either."""
        return not self.fitted and self.unmeasured

    @property
    def unmeasured(self) -> bool:
        """Whether there is no score at all."""
        return all(value is None for value in self.scores.values())


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """An aligned Markdown table: first column to the left, the others to the right."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(2, *(len(line[column]) for line in lines)) for column in range(len(header))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(
        "| " + " | ".join(_pad(cell, widths[i], i) for i, cell in enumerate(line)) + " |"
        for line in (lines[0], rule, *lines[1:])
    )


def _pad(cell: str, width: int, column: int) -> str:
    return cell.ljust(width) if column == 0 else cell.rjust(width)


def summary(rows: Sequence[Row]) -> str:
    """Mean over categories, ± standard deviation over seeds, per method and shots."""
    groups: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.method, row.shots].append(row)
    body = [
        [method, str(shots), *(_over_seeds(group, metric) for metric in SHOWN)]
        for (method, shots), group in sorted(groups.items())
    ]
    return markdown(["method", "shots", *SHOWN], body)


def alarms(rows: Sequence[Row]) -> str:
    """False alarms asked for beside those that came, per method and shots; empty without any.

    `highest` is the category with the most false alarms, its mean over seeds.
    """
    groups: dict[tuple[str, int, float], list[Row]] = defaultdict(list)
    for row in rows:
        if row.alarms and row.alarms.came is not None:
            groups[row.method, row.shots, row.alarms.asked].append(row)
    if not groups:
        return ""
    body = [
        [method, str(shots), f"{asked:g}", *_came(group)]
        for (method, shots, asked), group in sorted(groups.items())
    ]
    return markdown(["method", "shots", "asked", "came", "highest", "found"], body)


def _came(rows: Sequence[Row]) -> list[str]:
    came, found = defaultdict(list), []
    for row in rows:
        assert row.alarms is not None
        came[row.category].append(row.alarms.came or 0.0)
        if row.alarms.found is not None:
            found.append(row.alarms.found)
    each = [fmean(values) for values in came.values()]
    return [f"{fmean(each):.1f}", f"{max(each):.1f}", f"{fmean(found):.1f}" if found else UNDEFINED]


def by_category(rows: Sequence[Row]) -> str:
    """Image / pixel AUROC per category, mean over seeds: a table for each shot number."""
    return "\n\n".join(
        _of_shots(shots, [row for row in rows if row.shots == shots])
        for shots in sorted({row.shots for row in rows})
    )


def _of_shots(shots: int, rows: Sequence[Row]) -> str:
    methods = sorted({row.method for row in rows})
    cells: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        cells[row.category, row.method].append(row)
    body = [
        [category, *(_image_and_pixel(cells[category, method]) for method in methods)]
        for category in sorted({row.category for row in rows})
    ]
    return markdown([f"{shots}-shot", *methods], body)


def missing_cells(rows: Sequence[Row]) -> list[str]:
    """The trials that are missing, by name."""
    return [
        f"{row.category} {row.method} {row.shots}-shot seed {row.seed}"
        for row in rows
        if row.missing
    ]


def means(rows: Sequence[Row], metric: str) -> list[float]:
    """For each seed the mean over the categories that have the metric."""
    seeds: dict[int, list[float]] = defaultdict(list)
    for row in rows:
        value = row.scores.get(metric)
        if value is not None:
            seeds[row.seed].append(value)
    return [fmean(values) for _, values in sorted(seeds.items())]


def _over_seeds(rows: Sequence[Row], metric: str) -> str:
    values = means(rows, metric)
    if not values:
        return UNDEFINED
    partial = "*" if any(row.scores.get(metric) is None for row in rows) else ""
    spread = f" ± {pstdev(values):.1f}" if len(values) > 1 else ""
    return f"{fmean(values):.1f}{spread}{partial}"


def _image_and_pixel(rows: Sequence[Row]) -> str:
    return " / ".join(
        f"{fmean(values):.1f}" if (values := means(rows, metric)) else UNDEFINED
        for metric in ("image_auroc", "pixel_auroc")
    )
