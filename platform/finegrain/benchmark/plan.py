"""What is to be run: a benchmark is a grid of trials, and every trial has one result."""

import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from finegrain.backbones import check_backbone
from finegrain.benchmark.methods import (
    captions_for,
    check_shots,
    checked_options,
    reads_text,
    trial_options,
)
from finegrain.benchmark.selection import (
    Selection,
    ShotList,
    check_selection,
    choose_views,
    published_shot_list,
    read_shot_list,
)
from finegrain.captions import Caption, CaptionStore
from finegrain.data import DATASETS, Category, load_category, prepare_dataset
from finegrain.data.shots import Shot, file_sha256
from finegrain.detectors import DETECTORS, detector_class
from finegrain.errors import ConfigError, DatasetError
from finegrain.evaluation.metrics import Scores


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Benchmark(_Record):
    """The grid, as it stands in benchmark.json; paths are absolute."""

    dataset: str
    data_root: Path
    categories: tuple[str, ...] = Field(min_length=1)
    methods: tuple[str, ...] = Field(min_length=1)
    shots: tuple[int, ...] = Field(min_length=1)
    seeds: tuple[int, ...] = Field(min_length=1)
    backbone: str
    weights: str | None = None  # open_clip's tag, or a file's absolute path
    options: dict[str, dict[str, Any]] = {}  # method -> its options
    shot_list: ShotList | None = None  # None: drawn by seed
    shot_selection: Selection = "seeded"  # if published, shot_list has them
    views: tuple[str, ...] = ()  # of Real-IAD; none: its default
    captions: dict[str, Caption] = {}  # category -> its caption, where a method uses it


class Trial(_Record):
    """One fit and its evaluation; plain values only, so that it can cross to any worker."""

    dataset: str
    data_root: Path
    data_fingerprint: str
    category: str
    method: str
    options: dict[str, Any]
    shots: int
    seed: int
    backbone: str
    weights: str | None = None
    weights_sha256: str | None = None  # of the file
    shot_indices: tuple[int, ...] | None = None  # None: drawn by seed
    shot_selection: Selection = "seeded"
    views: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What it is called in folders and messages."""
        method = self.method.replace(":", "-")
        return f"{self.category}_{method}_{self.shots}shot_seed{self.seed}"

    def load_category(self) -> Category:
        """The files that it is fitted and measured on; errors as for `data.load_category`."""
        published = self.shot_selection == "published"
        return load_category(self.dataset, self.data_root, self.category, self.views, published)

    def config_hash(self) -> str:
        """SHA-256 of all that decides the result; not of where data and weights lie."""
        places = {"data_root", "weights"} if self.weights_sha256 else {"data_root"}
        added = {"shot_selection", "views"}  # decide nothing at their defaults, and came later
        unset = {name for name in added if getattr(self, name) == Trial.model_fields[name].default}
        decisive = self.model_dump(mode="json", exclude=places | unset)
        decisive["finegrain"] = version("finegrain")
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


class TrialResult(_Record):
    """What came of a trial, as it stands in result.json; scores from 0 to 1."""

    trial: Trial
    config_hash: str
    status: Literal["ok", "failed"]
    error: str | None = None
    scores: Scores = Scores()
    fit_seconds: float | None = None
    score_ms: float | None = None  # an image, from tokens to prediction
    encode_ms: float | None = None  # an image, from file to tokens
    false_alarms: float | None = None  # share of good test images above the calibrated threshold
    detected: float | None = None  # share of anomalous ones above it
    checkpoint: Path | None = None
    support: tuple[Shot, ...] = ()
    notes: tuple[str, ...] = ()  # departures of data and shots from what was published
    environment: dict[str, str] = {}


def resolve(
    *,
    beside: Path,
    dataset: str = "factory",
    data_root: Path | None = None,
    categories: Sequence[str] | None = None,
    methods: Sequence[str] | None = None,
    shots: Sequence[int] = (1, 2, 4),
    seeds: Sequence[int] = (0, 1, 2),
    backbone: str = "bundled",
    weights: str | None = None,
    options: Sequence[str] = (),
    shot_list: Path | None = None,
    shot_selection: Selection = "seeded",
    views: Sequence[str] = (),
    captions: Path | None = None,
) -> Benchmark:
    """The benchmark with every name checked and its data in place; InputError says what is wrong.

    The factory is rendered `beside`/data/factory unless `data_root` says another place.
    """
    if weights and Path(weights).is_file():
        weights = str(Path(weights).resolve())
    methods = list(dict.fromkeys(methods or sorted(DETECTORS)))
    check_backbone(backbone, weights, reads_text=any(map(reads_text, methods)))
    by_method = checked_options(methods, options)
    check_shots(methods, shots)
    if dataset not in DATASETS:
        raise ConfigError(f"no dataset {dataset!r}; known: {', '.join(DATASETS)}")
    if data_root is None and dataset != "factory":
        raise ConfigError(f"dataset {dataset} needs --data-root, the folder of its categories")
    root = (data_root or beside / "data" / "factory").resolve()
    views = choose_views(dataset, views)
    check_selection(
        shot_selection,
        dataset=dataset,
        categories=categories,
        shots=shots,
        shot_list=shot_list,
        views=views,
    )
    chosen = prepare_dataset(dataset, root, categories)
    listed = read_shot_list(shot_list, chosen, shots) if shot_list else None
    if shot_selection == "published":
        listed = published_shot_list(dataset, root, chosen, shots)
    return Benchmark(
        dataset=dataset,
        data_root=root,
        categories=tuple(dict.fromkeys(chosen)),
        methods=tuple(methods),
        shots=tuple(sorted(set(shots))),
        seeds=tuple(dict.fromkeys(seeds)),
        backbone=backbone,
        weights=weights,
        options=by_method,
        shot_list=listed,
        shot_selection=shot_selection,
        views=tuple(views),
        captions=captions_for(methods, CaptionStore(captions), dataset, chosen),
    )


def plan(benchmark: Benchmark) -> list[Trial]:
    """All trials, category by category, so that a worker's encoded images serve the next trial."""
    weights = Path(benchmark.weights or "")
    weights_sha256 = file_sha256(weights) if weights.is_file() else None
    fingerprints = {name: _fingerprint(benchmark, name) for name in benchmark.categories}
    return [
        Trial(
            dataset=benchmark.dataset,
            data_root=benchmark.data_root,
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
            **_encoder(benchmark, method, weights_sha256),
            shot_indices=benchmark.shot_list[category].get(shots, ())
            if benchmark.shot_list
            else None,
            shot_selection=benchmark.shot_selection,
            views=benchmark.views,
        )
        for category, method, shots, seed in product(
            benchmark.categories, benchmark.methods, benchmark.shots, benchmark.seeds
        )
    ]


def _encoder(benchmark: Benchmark, method: str, weights_sha256: str | None) -> dict[str, Any]:
    """Backbone and weights of a trial: the benchmark's, unless the method brings its own."""
    if own := detector_class(method).own_backbone(benchmark.options.get(method, {})):
        return {"backbone": own}
    return {
        "backbone": benchmark.backbone,
        "weights": benchmark.weights,
        "weights_sha256": weights_sha256,
    }


def read_result(path: Path, trial: Trial) -> TrialResult | None:
    """The trial's stored result; None where there is none that belongs to this very trial."""
    try:
        result = TrialResult.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
    return result if result.config_hash == trial.config_hash() else None


def _fingerprint(benchmark: Benchmark, category: str) -> str:
    """The category's fingerprint, or what is wrong with it: its trials will report that."""
    published = benchmark.shot_selection == "published"
    try:
        return load_category(
            benchmark.dataset, benchmark.data_root, category, benchmark.views, published
        ).fingerprint()
    except DatasetError as error:
        return f"unreadable: {error}"
