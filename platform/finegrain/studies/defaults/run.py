"""Every candidate on every category and seed; a result is kept as soon as it is there."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

from torch import Tensor

from finegrain.backbones import FrozenClip, RgbImage
from finegrain.benchmark.methods import with_options
from finegrain.data.images import read_rgb
from finegrain.data.shots import Shot, check_no_leak, file_sha256, select_shots
from finegrain.detectors.finegrained import FineGrained
from finegrain.errors import ConfigError
from finegrain.evaluation.evaluate import TestSet, evaluate, load_test_set, score_all
from finegrain.files import write_text
from finegrain.studies.defaults.candidates import DEFAULT
from finegrain.studies.defaults.report import METRICS, Line
from finegrain.studies.defaults.subjects import Subject

RESULTS = "results.jsonl"
LEARNED = ("units.", "prompts.", "former.")  # of a detector's state: all but the memory
# Seconds with the bundled CLIP on two cores, for the estimate alone.
ENCODE, SCORE, EVALUATE, EPOCH = 0.085, 0.035, 1.0, 0.75
VIEWS, SLICES = 4, 16  # images encoded of a shot: itself and its turned copies; its slices
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Task:
    """One candidate on one category and seed.

    Args:
        options: of the method, with the caption.
        config: the same, every option resolved.
        settings: a hash of all that decides the result.
    """

    subject: Subject
    candidate: str
    shots: int
    seed: int
    options: dict[str, Any]
    config: dict[str, Any]
    settings: str

    @property
    def key(self) -> tuple[str, str, str, int, int]:
        """What its line has alike."""
        subject = self.subject
        return subject.kind, subject.category.name, self.candidate, self.shots, self.seed

    @property
    def learning(self) -> str:
        """What decides the prompts: tasks that have it alike share a fit."""
        decisive = {k: v for k, v in self.config.items() if k not in ("memory", "scoring")}
        return json.dumps(decisive, sort_keys=True)


def plan(
    clip: FrozenClip,
    subjects: Sequence[Subject],
    candidates: Mapping[str, Mapping[str, Any]],
    *,
    shots: int,
    seeds: Sequence[int],
    options: Mapping[str, Any] | None = None,
) -> list[Task]:
    """All tasks, category by category and seed by seed; a candidate that is the default is none.

    Args:
        clip: the backbone.
        subjects: the categories.
        candidates: dotted options by name; the default, without any, is among them.
        shots: K.
        seeds: of the draw of shots and of the fit.
        options: of the default, in place of the method's.
    """
    tasks = []
    for subject in subjects:
        fingerprint = subject.category.fingerprint()
        select_shots(subject.category, shots, 0)  # are there so many?
        for seed in seeds:
            seen: set[str] = set()
            for name in sorted(candidates, key=lambda name: name != DEFAULT):  # the default first
                changed = with_options(options or {}, candidates[name])
                changed["caption"] = subject.caption
                config = _resolved(clip, changed, seed)
                decisive = [config, shots, seed, fingerprint, clip.weights_hash]
                settings = _digest([*decisive, version("finegrain")])
                if settings not in seen:
                    seen.add(settings)
                    tasks.append(Task(subject, name, shots, seed, changed, config, settings))
    return tasks


class Results:
    """The lines of a folder, each written when it is known.

    Raises:
        ConfigError: the folder's file holds something else.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / RESULTS
        self._lines: dict[tuple[str, str, str, int, int], Line] = {}
        if self._path.exists():
            for number, text in enumerate(self._path.read_text().splitlines(), 1):
                try:
                    self._keep(Line.model_validate_json(text))
                except ValueError as error:
                    raise ConfigError(
                        f"line {number} of {self._path} is no result of this study; remove it, or "
                        "give another --output"
                    ) from error

    def add(self, line: Line) -> None:
        """Keep a line, in place of an older one of the same task."""
        self._keep(line)
        write_text(
            self._path, "".join(f"{one.model_dump_json()}\n" for one in self._lines.values())
        )

    def of(self, tasks: Iterable[Task]) -> list[Line]:
        """The lines of these tasks that are known, with the same settings."""
        found = ((self._lines.get(task.key), task.settings) for task in tasks)
        return [line for line, settings in found if line and line.settings == settings]

    def missing(self, tasks: Iterable[Task]) -> list[Task]:
        """The tasks without such a line."""
        return [task for task in tasks if not self.of([task])]

    def _keep(self, line: Line) -> None:
        key = line.kind, line.category, line.candidate, line.shots, line.seed
        self._lines[key] = line


def estimate(tasks: Sequence[Task]) -> str:
    """How many fits the tasks take, and roughly how many hours."""
    seconds, fits = 0.0, 0
    for subject, of_subject in _by_subject(tasks):
        images = len(subject.category.test)
        seconds += images * ENCODE
        for of_seed in _by(of_subject, lambda task: str(task.seed)):
            for sharing in _by(of_seed, lambda task: task.learning):
                fits += 1
                first = sharing[0]
                seconds += first.config["training"]["epochs"] * EPOCH
                seconds += first.shots * (VIEWS + SLICES) * ENCODE
                seconds += len(sharing) * (images * SCORE + EVALUATE)
                others = [t for t in sharing if t.config["memory"] != first.config["memory"]]
                seconds += len(others) * first.shots * VIEWS * ENCODE
    return (
        f"{len(tasks)} results to come from {fits} fits; with the bundled CLIP about "
        f"{seconds / 3600:.1f} hours on 2 cores"
    )


def run(clip: FrozenClip, tasks: Sequence[Task], results: Results, tell: Tell) -> None:
    """Do the tasks; each category's test images are encoded once, and prompts learned once."""
    for subject, of_subject in _by_subject(tasks):
        test = load_test_set(subject.category, clip)
        for of_seed in _by(of_subject, lambda task: str(task.seed)):
            first = of_seed[0]
            paths = select_shots(subject.category, first.shots, first.seed)
            support = [Shot(path, file_sha256(path)) for path in paths]
            check_no_leak(support, test.sha256, subject.category.name)
            images = [read_rgb(path) for path in paths]
            for sharing in _by(of_seed, lambda task: task.learning):
                for line in _measured(clip, sharing, images, test):
                    results.add(line)
            tell(f"{subject.kind}, {subject.category.name}, seed {first.seed}")


def _measured(
    clip: FrozenClip, sharing: Sequence[Task], images: Sequence[RgbImage], test: TestSet
) -> Iterator[Line]:
    """The lines of tasks that share what is learned."""
    first = sharing[0]
    trained = FineGrained(clip, first.options, seed=first.seed).fit(images).state()
    for task in sharing:
        state = trained
        if task.config["memory"] != first.config["memory"]:
            state = with_own_memory(clip, task, images, trained)
        detector = FineGrained(clip, task.options, seed=task.seed)
        detector.load_state(state)
        scores = evaluate(score_all(detector, test.tokens), test)
        found = {metric: getattr(scores, metric) for metric in METRICS}
        percent = {k: None if v is None else 100 * v for k, v in found.items()}
        kind, category, candidate, shots, seed = task.key
        yield Line(
            kind=kind, category=category, candidate=candidate, shots=shots, seed=seed,
            settings=task.settings, scores=percent,
        )  # fmt: skip


def with_own_memory(
    clip: FrozenClip, task: Task, images: Sequence[RgbImage], trained: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The state of a task: the memory is its own, the prompts are another fit's.

    Without epochs a fit is quick. Its regions tell which component a token shows, not how anomalous
    it is, so that they need no fine resolution.
    """
    quick = {"training.epochs": 0, "regions.fine_resolution": False}
    own = FineGrained(clip, with_options(task.options, quick), seed=task.seed).fit(images).state()
    learned = {name: value for name, value in trained.items() if name.startswith(LEARNED)}
    return {k: v for k, v in own.items() if not k.startswith(LEARNED)} | learned


def _resolved(clip: FrozenClip, options: Mapping[str, Any], seed: int) -> dict[str, Any]:
    config = asdict(FineGrained(clip, options, seed=seed).config)
    return {**config, "caption": options["caption"].model_dump(mode="json")}


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _by_subject(tasks: Sequence[Task]) -> Iterator[tuple[Subject, list[Task]]]:
    for _, found in groupby(tasks, lambda task: task.key[:2]):
        some = list(found)
        yield some[0].subject, some


def _by(tasks: Sequence[Task], key: Callable[[Task], str]) -> list[list[Task]]:
    """Groups in the order of their first tasks."""
    groups: dict[str, list[Task]] = defaultdict(list)
    for task in tasks:
        groups[key(task)].append(task)
    return list(groups.values())
