"""What is to be run: a benchmark is a grid of trials, and every trial has one result."""

import hashlib
import json
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from finegrain.backbones import check_backbone
from finegrain.benchmark.grid import (
    LATER,
    BackboneChoice,
    Checks,
    DataChoice,
    Geometry,
    Grid,
    Record,
)
from finegrain.benchmark.methods import (
    captions_for,
    check_shots,
    checked_options,
    reads_text,
    trial_options,
)
from finegrain.benchmark.selection import ShotList, check_selection, choose_views, list_shots
from finegrain.captions import Caption
from finegrain.data import DATASETS, Category, load_category, prepare_dataset
from finegrain.data.shots import Shot, file_sha256
from finegrain.decision.thresholds import check_false_alarms
from finegrain.detectors import DETECTORS, detector_class
from finegrain.errors import ConfigError, DatasetError
from finegrain.evaluation.metrics import Scores
from finegrain.evaluation.selfcheck import SelfCheck
from finegrain.factory import FACTORIES


class _OnDisk(DataChoice):
    """The same with its place on disk, which is absolute."""

    data_root: Path

    def files_of(self, category: str) -> Category:
        """The files of one of the categories; errors as for `data.load_category`."""
        published = self.shot_selection == "published"
        return load_category(
            self.dataset, self.data_root, category, self.views, published, self.good
        )


class Benchmark(Checks, Geometry, BackboneChoice, _OnDisk):
    """The grid with everything found, as it stands in benchmark.json.

    Args:
        weights: open_clip's tag, or a file's absolute path.
        options: method -> its options.
        shot_list: None where shots are drawn by seed.
        captions: category -> its caption, where a method uses it; a fit that needs one and has
            none makes it from its shots.
    """

    categories: tuple[str, ...] = Field(min_length=1)
    methods: tuple[str, ...] = Field(min_length=1)
    shots: tuple[int, ...] = Field(min_length=1)
    seeds: tuple[int, ...] = Field(min_length=1)
    fewer_shots: bool = False
    options: dict[str, dict[str, Any]] = Field(default_factory=dict)
    shot_list: ShotList | None = None
    captions: dict[str, Caption] = Field(default_factory=dict)


class Trial(Checks, Geometry, BackboneChoice, _OnDisk):
    """One fit and its evaluation; plain values only, so that it can cross to any worker."""

    data_fingerprint: str
    category: str
    method: str
    options: dict[str, Any]
    shots: int
    seed: int
    weights_sha256: str | None = None  # of the file
    shot_indices: tuple[int, ...] | None = None  # None: drawn by seed

    @property
    def name(self) -> str:
        """What it is called in folders and messages."""
        method = self.method.replace(":", "-")
        return f"{self.category}_{method}_{self.shots}shot_seed{self.seed}"

    def load_category(self) -> Category:
        """The files that it is fitted and measured on; errors as for `data.load_category`."""
        return self.files_of(self.category)

    def config_hash(self) -> str:
        """SHA-256 of all that decides the result; not of where data and weights lie."""
        places = {"data_root", "weights"} if self.weights_sha256 else {"data_root"}
        unset = {name for name in LATER if getattr(self, name) == Trial.model_fields[name].default}
        decisive = self.model_dump(mode="json", exclude=places | unset)
        decisive["finegrain"] = version("finegrain")
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


class TrialResult(Record):
    """What came of a trial, as it stands in result.json; scores from 0 to 1."""

    trial: Trial
    config_hash: str
    status: Literal["ok", "failed"]
    error: str | None = None
    scores: Scores = Scores()
    fit_seconds: float | None = None
    score_ms: float | None = None  # an image, from tokens to prediction
    encode_ms: float | None = None  # an image, from file to tokens
    false_alarms: float | None = None  # share of good test images above the threshold: came
    detected: float | None = None  # share of anomalous ones above it
    self_check: SelfCheck | None = None  # from the shots alone, where it was asked for
    checkpoint: Path | None = None
    support: tuple[Shot, ...] = ()
    notes: tuple[str, ...] = ()  # departures of data and shots from what was published
    environment: dict[str, str] = Field(default_factory=dict)


def resolve(grid: Grid, *, beside: Path) -> Benchmark:
    """The benchmark with every name checked and its data in place; InputError says what is wrong.

    A factory is rendered in `beside`/data/DATASET unless `data_root` says another place.
    """
    weights = grid.weights
    if weights and Path(weights).is_file():
        weights = str(Path(weights).resolve())
    methods = list(dict.fromkeys(grid.methods or sorted(DETECTORS)))
    check_backbone(grid.backbone, weights, reads_text=any(map(reads_text, methods)))
    by_method = checked_options(methods, grid.options)
    check_shots(methods, grid.shots)
    check_false_alarms(grid.alarms_per_100)
    if grid.dataset not in DATASETS:
        raise ConfigError(f"no dataset {grid.dataset!r}; known: {', '.join(DATASETS)}")
    if grid.data_root is None and grid.dataset not in FACTORIES:
        raise ConfigError(f"dataset {grid.dataset} needs --data-root, the folder of its categories")
    root = (grid.data_root or beside / "data" / grid.dataset).resolve()
    grid = grid.model_copy(update={"views": choose_views(grid.dataset, grid.views)})
    check_selection(grid)
    chosen = prepare_dataset(grid.dataset, root, grid.categories, good=grid.good)
    found = {
        "data_root": root,
        "weights": weights,
        "categories": tuple(dict.fromkeys(chosen)),
        "methods": tuple(methods),
        "shots": tuple(sorted(set(grid.shots))),
        "seeds": tuple(dict.fromkeys(grid.seeds)),
        "fewer_shots": grid.fewer_shots,
        "options": by_method,
        "shot_list": list_shots(grid, root, chosen),
        "captions": captions_for(methods, grid, chosen),
    }
    return Benchmark.model_validate(_shared(grid) | found)


def _shared(chosen: Grid | Benchmark) -> dict[str, Any]:
    """What a grid, its benchmark and each trial have alike."""
    kinds = (DataChoice, BackboneChoice, Geometry, Checks)
    return {name: getattr(chosen, name) for kind in kinds for name in kind.model_fields}


def plan(benchmark: Benchmark) -> list[Trial]:
    """All trials, category by category, so that a worker's encoded images serve the next trial."""
    weights = Path(benchmark.weights or "")
    weights_sha256 = file_sha256(weights) if weights.is_file() else None
    fingerprints = {name: _fingerprint(benchmark, name) for name in benchmark.categories}
    shared, listed = _shared(benchmark), benchmark.shot_list
    return [
        Trial(
            **shared | _encoder(benchmark, method, weights_sha256),
            data_fingerprint=fingerprints[category],
            category=category,
            method=method,
            options=trial_options(
                method,
                benchmark.options.get(method, {}),
                category,
                benchmark.captions.get(category),
            ),
            shots=shots,
            seed=seed,
            shot_indices=listed[category].get(shots, ()) if listed else None,
        )
        for category in benchmark.categories
        for method, shots, seed in product(
            benchmark.methods, _shots_of(benchmark, category), benchmark.seeds
        )
    ]


def _shots_of(benchmark: Benchmark, category: str) -> list[int]:
    """The numbers of shots of a category, none above its images where fewer will do."""
    if not benchmark.fewer_shots:
        return list(benchmark.shots)
    try:
        there = len(benchmark.files_of(category).train)
    except DatasetError:
        return list(benchmark.shots)  # the trials will report it
    return sorted({min(shots, there) for shots in benchmark.shots})


def _encoder(benchmark: Benchmark, method: str, weights_sha256: str | None) -> dict[str, Any]:
    """Of a trial's backbone what differs from the benchmark's: a method may bring its own."""
    if own := detector_class(method).own_backbone(benchmark.options.get(method, {})):
        return {"backbone": own, "weights": None}
    return {"weights_sha256": weights_sha256}


def read_result(path: Path, trial: Trial) -> TrialResult | None:
    """The trial's stored result; None where there is none that belongs to this very trial."""
    try:
        result = TrialResult.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
    if result.config_hash != trial.config_hash():
        return None
    if result.checkpoint:  # beside its result, wherever the folder was moved since
        return result.model_copy(update={"checkpoint": path.parent / result.checkpoint.name})
    return result


def _fingerprint(benchmark: Benchmark, category: str) -> str:
    """The category's fingerprint, or what is wrong with it: its trials will report that."""
    try:
        return benchmark.files_of(category).fingerprint()
    except DatasetError as error:
        return f"unreadable: {error}"
