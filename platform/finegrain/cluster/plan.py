"""What is to be run: a benchmark is a grid of trials, and every trial has one result."""

import hashlib
import json
import re
from collections.abc import Sequence
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from finegrain.captions import Caption, CaptionStore
from finegrain.clip import check_backbone
from finegrain.data import DATASETS, load_category, prepare_dataset
from finegrain.data.shots import Shot, file_sha256
from finegrain.detectors import DETECTORS, detector_class, method_options
from finegrain.errors import ConfigError, DatasetError
from finegrain.evaluation.metrics import Scores


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


ShotList = dict[str, dict[int, tuple[int, ...]]]  # category -> K -> places in the sorted names


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
    captions: dict[str, Caption] = {}  # category -> its caption, where a method needs it


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

    @property
    def name(self) -> str:
        """What it is called in folders and messages."""
        method = self.method.replace(":", "-")
        return f"{self.category}_{method}_{self.shots}shot_seed{self.seed}"

    def config_hash(self) -> str:
        """SHA-256 of all that decides the result; not of where data and weights lie."""
        places = {"data_root", "weights"} if self.weights_sha256 else {"data_root"}
        decisive = self.model_dump(mode="json", exclude=places)
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
    captions: Path | None = None,
) -> Benchmark:
    """The benchmark with every name checked and its data in place; InputError says what is wrong.

    The factory is rendered `beside`/data/factory unless `data_root` says another place.
    """
    if weights and Path(weights).is_file():
        weights = str(Path(weights).resolve())
    methods = list(dict.fromkeys(methods or sorted(DETECTORS)))
    worded = [method for method in methods if detector_class(method).needs_caption]
    check_backbone(backbone, weights, reads_text=bool(worded))
    by_method = parse_options(options)
    for method in methods:
        given = method_options(method, by_method.get(method, {}))
        detector_class(method).Config.from_options(given)
        by_method |= {method: given} if given else {}
    if odd := [m for m in methods if not re.fullmatch(r"\w+(:[\w+-]+)?", m)]:
        raise ConfigError(
            f"a method is NAME or NAME:VARIANT, of letters, digits, _, + and -; got {odd}"
        )
    if unused := sorted(set(by_method) - set(methods)):
        raise ConfigError(
            f"options are given for {', '.join(unused)}, which is not among --methods"
        )
    if bad := [count for count in shots if count < 1]:
        raise ConfigError(f"shots must be 1 or more; got {bad}")
    if dataset not in DATASETS:
        raise ConfigError(f"no dataset {dataset!r}; known: {', '.join(DATASETS)}")
    if data_root is None and dataset != "factory":
        raise ConfigError(f"dataset {dataset} needs --data-root, the folder of its categories")
    root = (data_root or beside / "data" / "factory").resolve()
    chosen = prepare_dataset(dataset, root, categories)
    listed = read_shot_list(shot_list, chosen, shots) if shot_list else None
    store = CaptionStore(captions)
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
        captions={name: store.get(dataset, name) for name in chosen} if worded else {},
    )


def read_shot_list(path: Path, categories: Sequence[str], shots: Sequence[int]) -> ShotList:
    """A JSON file {CATEGORY: {K: [places in sorted train/good]}}, checked for the grid."""
    try:
        listed = TypeAdapter(ShotList).validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        expected = "{category: {K: [places]}}"
        raise ConfigError(f"{path} is no list of shots {expected}: {error}") from error
    for category, count in product(categories, shots):
        found = len(listed.get(category, {}).get(count, ()))
        if found != count:
            raise ConfigError(f"{path} lists {found} images for {count} shots of {category}")
    return {name: listed[name] for name in categories}


def parse_options(given: Sequence[str]) -> dict[str, dict[str, Any]]:
    """["METHOD.OPTION=VALUE", ...] -> {METHOD: {OPTION: value}}; a value is JSON or plain text.

    An option within an option is METHOD.OUTER.INNER. METHOD may be NAME:VARIANT, the same detector
    with options of its own.
    """
    parsed: dict[str, dict[str, Any]] = {}
    for text in given:
        name, equals, value = text.partition("=")
        method, dot, option = name.partition(".")
        if not (equals and dot and method and option):
            raise ConfigError(
                f"expected METHOD.OPTION=VALUE, for example spade.nearest_patches=3; got {text!r}"
            )
        *outer, inner = option.split(".")
        place = parsed.setdefault(method, {})
        for key in outer:
            place = place.setdefault(key, {})
        try:
            place[inner] = json.loads(value)
        except json.JSONDecodeError:
            place[inner] = value
    return parsed


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
            options=_options(benchmark, category, method),
            shots=shots,
            seed=seed,
            **_encoder(benchmark, method, weights_sha256),
            shot_indices=benchmark.shot_list[category][shots] if benchmark.shot_list else None,
        )
        for category, method, shots, seed in product(
            benchmark.categories, benchmark.methods, benchmark.shots, benchmark.seeds
        )
    ]


def _options(benchmark: Benchmark, category: str, method: str) -> dict[str, Any]:
    """The method's options, the category's caption among them if it needs one."""
    options = benchmark.options.get(method, {})
    if not detector_class(method).needs_caption:
        return options
    return {**options, "caption": benchmark.captions[category].model_dump(mode="json")}


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
    try:
        return load_category(benchmark.dataset, benchmark.data_root, category).fingerprint()
    except DatasetError as error:
        return f"unreadable: {error}"
