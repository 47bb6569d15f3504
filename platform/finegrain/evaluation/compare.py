"""How much one method is better than another, and how sure that is.

Methods are compared in pairs: the same category, number of shots and seed, fitted by both.

d_cs difference, method less reference, in points, of category c and seed s; d_c its mean over the
seeds of c; the difference is the mean of d_c over categories.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from statistics import fmean
from typing import NamedTuple

import numpy as np

from finegrain.errors import ConfigError
from finegrain.tables import Row

METRICS = ("image_auroc", "pixel_auroc")
TIE = 0.05  # points: less is the same number in a table
COVERAGE = 95  # percent of the resamples that lie within an interval
RESAMPLES = 10_000
FEWEST_TESTED = 5  # categories; with less, no outcome of the test would be below 0.1

Scored = Mapping[tuple[str, int], float]  # category and seed -> score in percent


@dataclass(frozen=True)
class Expense:
    """What a fitted detector costs; None where it was not measured."""

    fit_seconds: float | None = None
    encode_ms: float | None = None  # an image, from file to tokens
    score_ms: float | None = None  # an image, from tokens to prediction
    values: float | None = None  # numbers in its checkpoint


class Measurement(NamedTuple):
    """One trial: what it scored and what it cost."""

    row: Row
    cost: Expense


class Interval(NamedTuple):
    """The middle COVERAGE percent of the resampled differences."""

    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """A method against the reference at one number of shots, in one metric.

    `mean` and `reference_mean` are of the pairs alone, so that `difference` is theirs; the
    reference's own line has the mean of all its results, and no more.
    """

    method: str
    shots: int
    metric: str
    cost: Expense
    mean: float | None
    reference_mean: float | None = None
    by_category: Mapping[str, float] | None = None  # d_c
    interval: Interval | None = None
    p_value: float | None = None
    pairs: int = 0
    left_out: int = 0  # of a category and seed that only one of the two has

    @property
    def difference(self) -> float | None:
        """Of the means, in points."""
        return fmean(self.by_category.values()) if self.by_category else None

    @property
    def wins_ties_losses(self) -> tuple[int, int, int] | None:
        """How many categories are better, the same and worse than the reference's."""
        if not self.by_category:
            return None
        found = self.by_category.values()
        wins, losses = sum(d >= TIE for d in found), sum(d <= -TIE for d in found)
        return wins, len(found) - wins - losses, losses

    @property
    def worst(self) -> tuple[str, float] | None:
        """The category with the largest loss, or the least gain, and its difference."""
        if not self.by_category:
            return None
        return min(self.by_category.items(), key=lambda item: (item[1], item[0]))


def compare(
    measured: Sequence[Measurement],
    reference: str,
    *,
    metrics: Sequence[str] = METRICS,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Comparison]:
    """The reference's lines first, then every other method's: for each metric, by shots.

    Each interval starts a generator of that seed, so that it is the same whatever else is
    compared. ConfigError where the reference is not among the methods, or nothing is resampled.
    """
    methods = sorted({one.row.method for one in measured})
    if reference not in methods:
        raise ConfigError(
            f"no method {reference!r} to compare with; there are {', '.join(methods)}"
        )
    if resamples < 1:
        raise ConfigError(f"a bootstrap needs at least 1 resample; got {resamples}")
    groups: dict[tuple[str, int], list[Measurement]] = defaultdict(list)
    for one in measured:
        groups[one.row.method, one.row.shots].append(one)
    ordered = sorted(groups, key=lambda key: (key[0] != reference, *key))
    return [
        _own(groups[key], metric)
        if key[0] == reference
        else _against(
            groups[key],
            groups.get((reference, key[1]), []),
            metric,
            resamples,
            np.random.default_rng(seed),
        )
        for metric in metrics
        for key in ordered
    ]


def interval(
    by_category: Sequence[Sequence[float]], generator: np.random.Generator, resamples: int
) -> Interval | None:
    """Percentile bootstrap of the difference: categories are drawn, then seeds inside each.

    None where there is a single pair. Few categories make such intervals too narrow rather than
    too wide: eight of them give about 90 % where 95 is said.

    Args:
        by_category: d_cs, for each category its seeds'.
        generator: of the draws.
        resamples: how many.
    """
    counts = np.array([len(seeds) for seeds in by_category])
    if counts.sum() < 2:
        return None
    padded = np.zeros((len(counts), counts.max()))  # (C,S)
    for index, seeds in enumerate(by_category):
        padded[index, : len(seeds)] = seeds
    chosen = generator.integers(len(counts), size=(resamples, len(counts)))  # (R,C)
    have = counts[chosen]
    draws = generator.random((*chosen.shape, counts.max())) * have[..., None]
    drawn = padded[chosen[..., None], draws.astype(int)]  # (R,C,S)
    drawn *= np.arange(counts.max()) < have[..., None]  # as many as the category has
    means = (drawn.sum(axis=-1) / have).mean(axis=-1)
    outside = (100 - COVERAGE) / 2
    low, high = np.percentile(means, [outside, 100 - outside])
    return Interval(float(low), float(high))


def paired_test(by_category: Sequence[float]) -> float | None:
    """Wilcoxon's signed-rank test of d_c against 0, two-sided; None where it can say nothing."""
    rounded = np.round(by_category, 9)  # so that equal differences have equal ranks
    if len(rounded) < FEWEST_TESTED or not rounded.any():
        return None
    from scipy.stats import wilcoxon  # who only reads results need not wait for it

    return float(wilcoxon(rounded).pvalue)


def mean_expense(costs: Sequence[Expense]) -> Expense:
    """The mean of each cost over the trials that have it."""
    names = [field.name for field in fields(Expense)]
    known = {name: [v for c in costs if (v := getattr(c, name)) is not None] for name in names}
    return Expense(**{name: fmean(values) for name, values in known.items() if values})


def _own(group: Sequence[Measurement], metric: str) -> Comparison:
    """The reference's line."""
    row, scored = group[0].row, _scored(group, metric)
    means = [fmean(seeds) for seeds in _by_category(scored).values()]
    cost = mean_expense([one.cost for one in group])
    return Comparison(row.method, row.shots, metric, cost, fmean(means) if means else None)


def _against(
    group: Sequence[Measurement],
    reference: Sequence[Measurement],
    metric: str,
    resamples: int,
    generator: np.random.Generator,
) -> Comparison:
    row = group[0].row
    own, other = _scored(group, metric), _scored(reference, metric)
    keys = sorted(own.keys() & other.keys())
    planned = {(one.row.category, one.row.seed) for one in (*group, *reference)}
    cost = mean_expense([one.cost for one in group])
    left_out = len(planned) - len(keys)
    if not keys:
        return Comparison(row.method, row.shots, metric, cost, None, left_out=left_out)
    differences = _by_category({key: own[key] - other[key] for key in keys})
    by_category = {category: fmean(seeds) for category, seeds in differences.items()}
    reference_mean = fmean(fmean(v) for v in _by_category({k: other[k] for k in keys}).values())
    return Comparison(
        row.method,
        row.shots,
        metric,
        cost,
        mean=reference_mean + fmean(by_category.values()),
        reference_mean=reference_mean,
        by_category=by_category,
        interval=interval(list(differences.values()), generator, resamples),
        p_value=paired_test(list(by_category.values())),
        pairs=len(keys),
        left_out=left_out,
    )


def _scored(group: Sequence[Measurement], metric: str) -> Scored:
    """The defined scores; ConfigError where a category and seed comes twice."""
    found: dict[tuple[str, int], float] = {}
    for row, _ in group:
        key = row.category, row.seed
        if key in found:
            raise ConfigError(f"{row.method} has two results of {row.category}, seed {row.seed}")
        if (value := row.scores.get(metric)) is not None:
            found[key] = value
    return found


def _by_category(scored: Scored) -> dict[str, list[float]]:
    """For each category, in order, its seeds' values in order."""
    found: dict[str, list[float]] = defaultdict(list)
    for (category, _), value in sorted(scored.items()):
        found[category].append(value)
    return dict(found)
