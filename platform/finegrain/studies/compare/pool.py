"""Trials of several benchmarks as one: each counts once, and nothing is mixed that differs.

A method's setup is its backbone, weights and options. Benchmarks with the same setup are joined;
others are named apart, by their backbone where that is what differs, else by their benchmark.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from finegrain.errors import ConfigError
from finegrain.evaluation.compare import Measurement
from finegrain.tables import Row
from finegrain.tracking import RecordedTrial

WORDS = ("caption_sha256", "object_name", "defects")  # options that are a category's own

Data = tuple[str, str]  # category, its fingerprint


@dataclass(frozen=True)
class Pool:
    """What is to be compared, and what its reader must know; the first method is the default."""

    dataset: str
    measured: tuple[Measurement, ...]
    first: str
    notes: tuple[str, ...]


class _Group:
    """The trials of one method with one setup, from all benchmarks that share it."""

    def __init__(self, first: RecordedTrial) -> None:
        self.first = first
        self.trials: dict[tuple[Data, int, int], RecordedTrial] = {}
        self._words: dict[Data, dict[str, str]] = {}

    def takes(self, trials: Sequence[RecordedTrial]) -> bool:
        """Whether they are of its method and none of them differs in setup, words or shots."""
        return all(
            _setup(trial) == _setup(self.first)
            and self._words.get(_data(trial), _words(trial)) == _words(trial)
            and self.trials.get(_place(trial), trial).support == trial.support
            for trial in trials
        )

    def add(self, trials: Sequence[RecordedTrial]) -> None:
        """Take those whose place is free."""
        for trial in trials:
            self.trials.setdefault(_place(trial), trial)
            self._words[_data(trial)] = _words(trial)


def pool(trials: Sequence[RecordedTrial]) -> Pool:
    """One table's rows of all trials; ConfigError where they are of several data sets."""
    if len(datasets := sorted({trial.dataset for trial in trials})) > 1:
        raise ConfigError(
            f"these runs are of {' and '.join(datasets)}; compare one data set at a time"
        )
    unique = list({trial.run_id: trial for trial in trials}.values())
    groups = _groups(unique)
    names = _method_names(groups)
    kept = [
        (name, trial)
        for name, group in zip(names, groups, strict=True)
        for trial in group.trials.values()
    ]
    categories = _category_names([trial for _, trial in kept])
    again = len(unique) - len(kept)
    notes = [
        *([f"{again} trials are in several benchmarks and count once."] if again else []),
        *_apart(groups, names),
        *_other_data(categories),
        *_other_shots([trial for _, trial in kept]),
    ]
    measured = tuple(
        Measurement(Row(categories[_data(t)], name, t.shots, t.seed, t.scores), t.cost)
        for name, t in kept
    )
    return Pool(datasets[0], measured, names[0], tuple(notes))


def _groups(trials: Sequence[RecordedTrial]) -> list[_Group]:
    """The trials by setup, in the order in which they were given."""
    by_origin: dict[tuple[str, str], list[RecordedTrial]] = defaultdict(list)
    for trial in trials:
        by_origin[trial.benchmark_id, trial.method].append(trial)
    groups: list[_Group] = []
    for given in by_origin.values():
        group = next((group for group in groups if group.takes(given)), None)
        if group is None:
            group = _Group(given[0])
            groups.append(group)
        group.add(given)
    return groups


def _method_names(groups: Sequence[_Group]) -> list[str]:
    """The method's own name where it has one setup; else with its backbone or benchmark."""
    firsts = [group.first for group in groups]
    kinds = (
        [t.method for t in firsts],
        [f"{t.method} {t.backbone}" for t in firsts],
        [f"{t.method} [{t.benchmark}]" for t in firsts],
        [f"{t.method} [{t.benchmark} {t.benchmark_id[:6]}]" for t in firsts],
    )
    names = []
    for index, first in enumerate(firsts):
        same = [i for i, other in enumerate(firsts) if other.method == first.method]
        unique = (kind for kind in kinds if len({kind[i] for i in same}) == len(same))
        names.append(next(unique, kinds[-1])[index])
    return names


def _category_names(trials: Sequence[RecordedTrial]) -> dict[Data, str]:
    """The category's own name where all its trials saw the same data; else with its hash."""
    seen = dict.fromkeys(_data(trial) for trial in trials)
    count = Counter(category for category, _ in seen)
    return {
        data: data[0] if count[data[0]] == 1 else f"{data[0]} ({data[1][:6] or 'unknown'})"
        for data in seen
    }


def _apart(groups: Sequence[_Group], names: Sequence[str]) -> list[str]:
    """What the setups are of the methods that are named apart."""
    notes = []
    for group, name in zip(groups, names, strict=True):
        first = group.first
        if name != first.method:
            options = [f"{k.partition('.')[2]}={v}" for k, v in _setup(first)[3] if v != "None"]
            weights = [first.weights] if first.weights != "None" else []
            notes.append(f"{name}: {', '.join([first.backbone, *weights, *options])}.")
    return notes


def _other_data(categories: dict[Data, str]) -> list[str]:
    other = sorted({category for (category, _), name in categories.items() if name != category})
    if not other:
        return []
    return [
        f"The benchmarks saw different data of {', '.join(other)}: those results make no pairs."
    ]


def _other_shots(trials: Sequence[RecordedTrial]) -> list[str]:
    """How many cells the methods did not fit on the same shots; a pair there compares both."""
    supports = defaultdict(set)
    for trial in trials:
        supports[_place(trial)].add(trial.support)
    other = sum(len(found) > 1 for found in supports.values())
    if not other:
        return []
    return [
        f"In {other} of {len(supports)} combinations of category, shots and seed not all methods "
        "were fitted on the same images: a difference there is of the shots too."
    ]


def _setup(trial: RecordedTrial) -> tuple[str, str, str, tuple[tuple[str, str], ...]]:
    options = sorted((k, v) for k, v in trial.options.items() if not _is_word(k))
    return trial.method, trial.backbone, trial.weights, tuple(options)


def _words(trial: RecordedTrial) -> dict[str, str]:
    return {name: value for name, value in trial.options.items() if _is_word(name)}


def _is_word(option: str) -> bool:
    return option.rpartition(".")[2] in WORDS


def _data(trial: RecordedTrial) -> Data:
    return trial.category, trial.data_fingerprint


def _place(trial: RecordedTrial) -> tuple[Data, int, int]:
    return _data(trial), trial.shots, trial.seed
