"""In which order the trials of a benchmark are started; tables and results.csv keep the plan's.

A long trial that starts last keeps a whole cluster waiting, so long ones go first. But a worker
that changes the category encodes its test images, so whatever is short beside a worker's share of
the whole stays category by category, as planned. benchmarks/simulate_scale.py
compares the orders.
"""

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple

from finegrain.benchmark.costs import cost_of, is_timed, mean_costs
from finegrain.benchmark.plan import Trial, TrialResult
from finegrain.detectors import Detector, detector_class
from finegrain.errors import InputError


class Expected(NamedTuple):
    """What a trial probably costs its worker.

    Attributes:
        seconds: of its fit and of scoring the test images.
        encoded: the encoded test images that its worker must hold.
        encode_seconds: of encoding them where it does not.
    """

    seconds: float
    encoded: Hashable
    encode_seconds: float


Order = Callable[[Sequence[Expected], int], list[int]]  # of how many workers
LONG = 0.2  # of a worker's share of all seconds; by the simulation of recorded benchmarks


def in_order(
    trials: Sequence[Trial], workers: int, results: Iterable[TrialResult] = ()
) -> list[Trial]:
    """The trials as they are to be started, by what the results of others tell of their cost."""
    return [trials[place] for place in _grouped(expectations(trials, results), workers)]


def expectations(trials: Sequence[Trial], results: Iterable[TrialResult] = ()) -> list[Expected]:
    """Each trial's cost: the mean over results of its method, else the method's default."""
    costs = mean_costs(result for result in results if is_timed(result))
    counts = image_counts(trials)
    found = []
    for trial in trials:
        cost = cost_of(trial.method, trial.backbone, costs)
        images = counts[trial.data_fingerprint]
        seconds = cost.fit_seconds + images * cost.score_ms / 1000
        found.append(Expected(seconds, encoded_key(trial), images * cost.encode_ms / 1000))
    return found


def encoded_key(trial: Trial) -> Hashable:
    """What names the encoded test images; a method with its own windows shares them with none."""
    own_windows = detector_class(trial.method).windows is not Detector.windows
    weights = trial.weights_sha256 or trial.weights
    return (trial.data_fingerprint, trial.backbone, weights, trial.method if own_windows else None)


def image_counts(trials: Iterable[Trial]) -> dict[str, int]:
    """How many test images there are, by the fingerprint of their category."""
    categories = {trial.data_fingerprint: trial for trial in trials}
    return {fingerprint: test_images(trial) for fingerprint, trial in categories.items()}


def test_images(trial: Trial) -> int:
    """How many its category has; 0 where that can't be read: its trials will say so, and soon."""
    try:
        return len(trial.load_category().test)
    except InputError:
        return 0


def _as_planned(costs: Sequence[Expected], _: int) -> list[int]:
    return list(range(len(costs)))


def _longest_first(costs: Sequence[Expected], _: int) -> list[int]:
    return sorted(range(len(costs)), key=lambda place: -costs[place].seconds)


def _grouped(costs: Sequence[Expected], workers: int) -> list[int]:
    """Long ones first, by powers of two of LONG times a worker's share; in one, as planned."""
    share = sum(cost.seconds for cost in costs) / workers

    def power(place: int) -> int:
        times = costs[place].seconds / (LONG * share) if share else 0.0
        return math.ceil(math.log2(times)) if times > 1 else 0

    return sorted(range(len(costs)), key=lambda place: -power(place))


ORDERS: Mapping[str, Order] = {
    "plan": _as_planned,
    "longest": _longest_first,
    "grouped": _grouped,
}
