"""One trial from beginning to end, on whatever worker it lands; no Ray in here.

A worker keeps what is dear between its trials: the backbone, and the encoded test images of the
categories it saw last.
"""

import platform
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from cachetools import LRUCache

from finegrain.backbones import (
    Backbone,
    FrozenClip,
    PatchTokens,
    RgbImage,
    Windows,
    encode,
    load_backbone,
)
from finegrain.benchmark.plan import Trial, TrialResult
from finegrain.captions import Caption
from finegrain.captions.from_photos import caption_from_photos
from finegrain.captions.store import write_caption
from finegrain.checkpoint import save_detector
from finegrain.data import Category
from finegrain.data.images import read_rgb
from finegrain.data.published import published_notes
from finegrain.data.shots import Shot, check_no_leak, drawable, file_sha256, select_shots, shots_at
from finegrain.decision.calibrate import calibrate, encoded_copies
from finegrain.decision.canary import encoded_canary
from finegrain.decision.thresholds import Thresholds
from finegrain.detectors import Detector, Prediction, detector_class, make_detector
from finegrain.errors import CalibrationError, InputError
from finegrain.evaluation.evaluate import TestSet, evaluate, load_test_set, score_all
from finegrain.evaluation.figures import heatmap_strip, png
from finegrain.evaluation.selfcheck import self_check
from finegrain.files import write_bytes, write_text

SOURCE = Path(__file__).parents[1]
RESULT, CHECKPOINT = "result.json", "checkpoint"
HEATMAPS, SELF_CHECK = "heatmaps.png", "self_check.png"
CAPTION = "caption.yaml"  # where it was made from the shots
KEPT_TEST_SETS = 2
KEPT_COPIES = 12  # shots whose changed copies stay encoded: the seeds and methods of a category

Encoded = tuple[str, str, Windows | None]  # hashes of what was encoded and of the weights; how


@dataclass(frozen=True)
class EncodedCategory:
    """A category with its test images encoded, and what that cost."""

    category: Category
    test: TestSet | None  # None: the category has no test image
    encode_ms: float | None

    def checked(self, paths: Sequence[Path]) -> tuple[Shot, ...]:
        """The shots with their hashes; DatasetError if one is also a test image."""
        support = tuple(Shot(path, file_sha256(path)) for path in paths)
        check_no_leak(support, self.test.sha256 if self.test else (), self.category.name)
        return support


class Worker:
    """Runs trials in one process, on one device, with a share of the cores."""

    def __init__(self, device: str, threads: int) -> None:
        self.device = device
        self._backbones: dict[tuple[str, str | None], Backbone] = {}
        self._encoded: LRUCache[Encoded, EncodedCategory] = LRUCache(KEPT_TEST_SETS)
        self._copies: LRUCache[Encoded, PatchTokens] = LRUCache(KEPT_COPIES)
        torch.set_num_threads(threads)  # this process's share, as Ray gave it

    def run(self, trial: Trial, directory: Path) -> TrialResult:
        """Fit, score, evaluate and store; an InputError becomes a failed result, others go up."""
        try:
            result = self._run(trial, directory)
        except InputError as error:
            result = failed(trial, str(error))
        store(result, directory)
        return result

    def _run(self, trial: Trial, directory: Path) -> TrialResult:
        backbone = self.backbone(trial.backbone, trial.weights)
        described = self._described(trial, backbone, directory)
        options = trial.options | (
            {"caption": described.model_dump(mode="json")} if described else {}
        )
        detector = make_detector(trial.method, backbone, options, seed=trial.seed)
        encoded = self.encoded(trial, backbone, detector.windows)
        paths = shot_paths(trial, encoded.category)
        support = encoded.checked(paths)
        images = [read_rgb(path) for path in paths]

        start = time.perf_counter()
        detector.fit(images)
        fit_seconds = time.perf_counter() - start

        notes = _notes(trial, encoded.category, described)
        tokens = encode(backbone, images, windows=detector.windows) if images else None
        try:
            thresholds = self._calibrate(detector, images, support, tokens, trial.alarms_per_100)
        except CalibrationError as error:  # it is measured all the same
            thresholds, notes = None, (*notes, f"{trial.method}: {error}")
        measured: dict[str, Any] = {}
        if trial.self_check and thresholds and tokens:
            checked, picture = self_check(detector, images, tokens, thresholds, seed=trial.seed)
            measured["self_check"] = checked
            write_bytes(directory / SELF_CHECK, png(picture))
        if encoded.test:
            found, prediction = _measured(detector, encoded.test, thresholds)
            measured |= found
            strip = heatmap_strip(prediction, encoded.category)
            write_bytes(directory / HEATMAPS, png(strip))
        save_detector(
            detector,
            directory / CHECKPOINT,
            dataset=trial.dataset,
            category=trial.category,
            shots=support,
            thresholds=thresholds,
        )
        return TrialResult(
            trial=trial,
            config_hash=trial.config_hash(),
            status="ok",
            **measured,
            fit_seconds=fit_seconds,
            encode_ms=encoded.encode_ms,
            checkpoint=directory / CHECKPOINT,
            support=support,
            notes=notes,
            environment=environment(self.device),
        )

    def _described(self, trial: Trial, backbone: Backbone, directory: Path) -> Caption | None:
        """A caption made from the shots, where one is needed and the trial brings none.

        It is stored beside the result as well, to be edited and given to another fit.
        """
        needed = detector_class(trial.method).needs_caption and "caption" not in trial.options
        if not needed or not isinstance(backbone, FrozenClip):
            return None
        paths = shot_paths(trial, trial.load_category())
        found = caption_from_photos(
            trial.dataset,
            trial.category,
            [read_rgb(path) for path in paths],
            backbone,
            [file_sha256(path) for path in paths],
        )
        write_caption(directory / CAPTION, found.caption)
        return found.caption

    def backbone(self, name: str, weights: str | None) -> Backbone:
        """The frozen model, kept until another is asked for."""
        key = (name, weights)
        if key not in self._backbones:  # one at a time in memory
            self._backbones = {key: load_backbone(name, self.device, weights)}
        return self._backbones[key]

    def encoded(self, trial: Trial, backbone: Backbone, windows: Windows | None) -> EncodedCategory:
        """The trial's category with its test images encoded; the last few are kept."""
        key = (trial.data_fingerprint, backbone.weights_hash, windows)
        if key not in self._encoded:
            category = trial.load_category()
            test, encode_ms = None, None
            if category.test:
                start = time.perf_counter()
                test = load_test_set(category, backbone, windows=windows)
                encode_ms = 1000 * (time.perf_counter() - start) / len(test.tokens)
            self._encoded[key] = EncodedCategory(category, test, encode_ms)
        return self._encoded[key]

    def _calibrate(
        self,
        detector: Detector,
        images: Sequence[RgbImage],
        support: Sequence[Shot],
        tokens: PatchTokens | None,
        false_alarms: float,
    ) -> Thresholds | None:
        """Thresholds from the shots, if any; their copies are the same for every method."""
        if tokens is None:
            return None
        windows, copies = detector.windows, []
        for image, shot in zip(images, support, strict=True):
            key = (shot.sha256, detector.backbone.weights_hash, windows)
            if key not in self._copies:
                self._copies[key] = encoded_copies(detector.backbone, image, windows=windows)
            copies.append(self._copies[key])
        canary = self._canary(detector.backbone, windows)
        return calibrate(detector, tokens, copies, false_alarms, canary=canary)

    def _canary(self, backbone: Backbone, windows: Windows | None) -> PatchTokens:
        """The canary's tokens, kept as the copies are."""
        key = ("canary", backbone.weights_hash, windows)
        if key not in self._copies:
            self._copies[key] = encoded_canary(backbone, windows)
        return self._copies[key]


def _measured(
    detector: Detector, test: TestSet, thresholds: Thresholds | None
) -> tuple[dict[str, Any], Prediction]:
    """What the test images say of a fitted detector, and its prediction for them."""
    detector.score(test.tokens[:1])  # not counted: first use fills caches
    start = time.perf_counter()
    prediction = score_all(detector, test.tokens)
    score_ms = 1000 * (time.perf_counter() - start) / len(test.tokens)
    alarms, detected = _shares_above(thresholds, prediction, test.labels)
    found = {"false_alarms": alarms, "detected": detected}
    return {"scores": evaluate(prediction, test), "score_ms": score_ms, **found}, prediction


def shot_paths(trial: Trial, category: Category) -> tuple[Path, ...]:
    """The trial's K shots: as listed, or drawn by its seed."""
    if trial.shot_indices:
        return shots_at(category, trial.shot_indices)
    return select_shots(category, trial.shots, trial.seed)


def _notes(trial: Trial, category: Category, described: Caption | None) -> tuple[str, ...]:
    images, notes = len(drawable(category)), category.notes
    if strays := len(category.train) - images:
        notes += (
            f"{strays} files among {category.name}'s training images are no images, and never "
            "drawn: `finegrain check` names them",
        )
    if not category.test:
        notes += (f"{category.name} is fitted on {trial.shots} of {images} photos",)
    elif trial.shot_selection != "seeded":
        notes += published_notes(trial.dataset, trial.category, trial.shots)
    if described:
        notes += (f"{category.name}'s caption is made from its shots: {described.summary}",)
    return notes


def _shares_above(
    thresholds: Thresholds | None, prediction: Prediction, labels: npt.NDArray[np.bool_]
) -> tuple[float | None, float | None]:
    """The shares of good and of anomalous images above the threshold; None where undefined."""
    if thresholds is None:
        return None, None
    above = prediction.image_scores > thresholds.image
    return _share(above[~labels]), _share(above[labels])


def _share(above: npt.NDArray[np.bool_]) -> float | None:
    return float(above.mean()) if len(above) else None


def store(result: TrialResult, directory: Path) -> None:
    """Write result.json, whole or not at all."""
    write_text(directory / RESULT, result.model_dump_json(indent=1) + "\n")


def failed(trial: Trial, error: str) -> TrialResult:
    """The result of a trial that has none."""
    return TrialResult(trial=trial, config_hash=trial.config_hash(), status="failed", error=error)


@cache
def environment(device: str) -> dict[str, str]:
    """What a reader of the result needs to know about where it came from."""
    gpu = torch.cuda.get_device_name(device) if device.startswith("cuda") else ""
    extra = {"anomalib": version("anomalib")} if find_spec("anomalib") else {}
    return {
        "device": gpu or platform.processor() or platform.machine(),
        "host": socket.gethostname(),
        "threads": str(torch.get_num_threads()),
        "finegrain": version("finegrain"),
        "source": str(SOURCE),
        "git_commit": _git_commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        **extra,
    }


def _git_commit() -> str:
    """The commit that the running source was checked out from, "unknown" outside a checkout."""
    command = ["git", "-C", str(SOURCE), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
