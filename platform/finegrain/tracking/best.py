"""Which trial of a benchmark is the best of its category by a metric."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from mlflow.entities import Run

from finegrain.errors import ConfigError
from finegrain.evaluation.metrics import Scores


@dataclass(frozen=True)
class BestRun:
    """The trial that stands for the best method and number of shots of its category."""

    run_id: str
    method: str
    shots: int
    seed: int
    mean: float  # of the metric, over the seeds that have it
    seeds: int


def best_by_category(runs: Sequence[Run], metric: str) -> dict[str, BestRun]:
    """For each DATASET/CATEGORY the method and number of shots with the highest mean over seeds.

    Of equal ones it is that with fewer shots. Its run is that of the lowest seed: the seed that
    happened to be best would be chosen by noise. ConfigError where the metric is unknown, or no
    trial of a category has it.
    """
    Scores.check_name(metric)
    by_category: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_category[category_key(run)].append(run)
    return {key: _best(key, found, metric) for key, found in sorted(by_category.items())}


def category_key(run: Run) -> str:
    """DATASET/CATEGORY of a trial."""
    return f"{run.data.params['dataset']}/{run.data.params['category']}"


def _best(key: str, runs: Sequence[Run], metric: str) -> BestRun:
    """The lowest seed of the method and number of shots with the highest mean."""
    groups: dict[tuple[str, int], dict[int, Run]] = defaultdict(dict)
    for run in runs:
        if metric in run.data.metrics:
            params = run.data.params
            groups[params["method"], int(params["shots"])][int(params["seed"])] = run
    if not groups:
        found = {name for run in runs for name in run.data.metrics}
        known = ", ".join(name for name in Scores.names() if name in found) or "no score at all"
        raise ConfigError(f"no trial of {key} has {metric}; they have {known}")
    means = {
        group: fmean(run.data.metrics[metric] for run in by_seed.values())
        for group, by_seed in groups.items()
    }
    method, shots = min(groups, key=lambda group: (-means[group], group[1], group[0]))
    by_seed = groups[method, shots]
    seed = min(by_seed)
    mean = means[method, shots]
    return BestRun(by_seed[seed].info.run_id, method, shots, seed, mean, len(by_seed))
