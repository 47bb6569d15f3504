"""One trial from beginning to end, on whatever worker it lands; no Ray in here.

A worker keeps what is dear between its trials: the backbone, and the encoded test images of the
categories it saw last, as long as they fit in the memory that is given to them.
"""

import logging
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

from finegrain.backbones import (
    Backbone,
    FrozenClip,
    PatchTokens,
    RgbImage,
    Windows,
    aspect_of,
    encode,
    framed,
    load_backbone,
    shots_aspect,
)
from finegrain.benchmark.kept import Kept, kept_bytes
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
from finegrain.evaluation.evaluate import (
    EncodedAnew,
    TestSet,
    evaluate,
    in_batches,
    load_test_set,
    score_all,
)
from finegrain.evaluation.figures import heatmap_strip, png
from finegrain.evaluation.selfcheck import self_check
from finegrain.files import write_bytes, write_text

log = logging.getLogger(__name__)
SOURCE = Path(__file__).parents[1]
RESULT, CHECKPOINT = "result.json", "checkpoint"
HEATMAPS, SELF_CHECK = "heatmaps.png", "self_check.png"
CAPTION = "caption.yaml"  # where it was made from the shots
KEPT_TEST_SETS = 2
KEPT_COPIES = 12  # shots whose changed copies stay encoded: the seeds and methods of a category

# Hashes of what was encoded and of the weights; the aspect ratio and the windows.
Encoded = tuple[str, str, float | None, Windows | None]


@dataclass(frozen=True)
class EncodedCategory:
    """A category with its test images encoded."""

    category: Category
    test: TestSet | None  # None: the category has no test image

    @property
    def nbytes(self) -> int:
        """The memory that their tokens take."""
        tokens = self.test.tokens if self.test else None
        return tokens.nbytes if isinstance(tokens, PatchTokens) else 0

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
        self._bytes = kept_bytes()
        self._encoded: Kept[Encoded, EncodedCategory] = Kept(KEPT_TEST_SETS, self._bytes)
        self._copies: Kept[Encoded, PatchTokens] = Kept(KEPT_COPIES, self._bytes)
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
        category = trial.load_category()
        paths = shot_paths(trial, category)
        images = [read_rgb(path) for path in paths]
        aspect = shots_aspect(trial.resize, images)
        backbone = framed(self.backbone(trial.backbone, trial.weights), aspect)
        described = _described(trial, backbone, paths, images, directory)
        options = trial.options | (
            {"caption": described.model_dump(mode="json")} if described else {}
        )
        detector = make_detector(trial.method, backbone, options, seed=trial.seed)
        encoded = self.encoded(trial, category, backbone, detector.windows)
        support = encoded.checked(paths)

        start = time.perf_counter()
        detector.fit(images)
        fit_seconds = time.perf_counter() - start

        notes = _notes(trial, category, described, aspect_of(backbone))
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
            strip = heatmap_strip(prediction, category)
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
            encode_ms=encoded.test.encode_ms if encoded.test else None,
            checkpoint=directory / CHECKPOINT,
            support=support,
            notes=notes,
            environment=environment(self.device),
        )

    def backbone(self, name: str, weights: str | None) -> Backbone:
        """The frozen model, kept until another is asked for."""
        key = (name, weights)
        if key not in self._backbones:  # one at a time in memory
            self._backbones = {key: load_backbone(name, self.device, weights)}
        return self._backbones[key]

    def encoded(
        self, trial: Trial, category: Category, backbone: Backbone, windows: Windows | None
    ) -> EncodedCategory:
        """The trial's category with its test images encoded; the last few are kept."""
        key = (trial.data_fingerprint, backbone.weights_hash, aspect_of(backbone), windows)
        if (found := self._encoded.get(key)) is None:
            test = None
            if category.test:
                test = load_test_set(category, backbone, windows=windows, keep_bytes=self._bytes)
            found = self._encoded.keep(key, EncodedCategory(category, test))
            if test and isinstance(test.tokens, EncodedAnew):
                log.warning(
                    "%s: the tokens of %d test images exceed the %.1f GiB that are kept; they are "
                    "encoded again for each trial. FINEGRAIN_TOKENS_GB allows more",
                    trial.category, len(test.tokens), self._bytes / 2**30,
                )  # fmt: skip
        return found

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
            backbone = detector.backbone
            key = (shot.sha256, backbone.weights_hash, aspect_of(backbone), windows)
            if (found := self._copies.get(key)) is None:
                found = encoded_copies(backbone, image, windows=windows)
                self._copies.keep(key, found)
            copies.append(found)
        canary = self._canary(detector.backbone, windows)
        return calibrate(detector, tokens, copies, false_alarms, canary=canary)

    def _canary(self, backbone: Backbone, windows: Windows | None) -> PatchTokens:
        """The canary's tokens, kept as the copies are."""
        key = ("canary", backbone.weights_hash, aspect_of(backbone), windows)
        if (found := self._copies.get(key)) is None:
            found = encoded_canary(backbone, windows)
            self._copies.keep(key, found)
        return found


def _described(
    trial: Trial,
    backbone: Backbone,
    paths: Sequence[Path],
    images: Sequence[RgbImage],
    directory: Path,
) -> Caption | None:
    """A caption made from the shots, where one is needed and the trial brings none.

    It is stored beside the result as well, to be edited and given to another fit.
    """
    needed = detector_class(trial.method).needs_caption and "caption" not in trial.options
    if not needed or not isinstance(backbone, FrozenClip):
        return None
    hashes = [file_sha256(path) for path in paths]
    found = caption_from_photos(trial.dataset, trial.category, images, backbone, hashes)
    write_caption(directory / CAPTION, found.caption)
    return found.caption


def _measured(
    detector: Detector, test: TestSet, thresholds: Thresholds | None
) -> tuple[dict[str, Any], Prediction]:
    """What the test images say of a fitted detector, and its prediction for them."""
    score_all(detector, test.tokens[:1])  # not counted: first use fills caches
    parts, seconds = [], 0.0
    for batch in in_batches(test.tokens):
        start = time.perf_counter()
        parts.append(detector.score(batch))
        seconds += time.perf_counter() - start
    prediction = Prediction.concatenate(parts)
    score_ms = 1000 * seconds / len(test.tokens)
    alarms, detected = _shares_above(thresholds, prediction, test.labels)
    found = {"false_alarms": alarms, "detected": detected}
    return {"scores": evaluate(prediction, test), "score_ms": score_ms, **found}, prediction


def shot_paths(trial: Trial, category: Category) -> tuple[Path, ...]:
    """The trial's K shots: as listed, or drawn by its seed."""
    if trial.shot_indices:
        return shots_at(category, trial.shot_indices)
    return select_shots(category, trial.shots, trial.seed)


def _notes(
    trial: Trial, category: Category, described: Caption | None, aspect: float | None
) -> tuple[str, ...]:
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
    if aspect:
        shape = (
            f"{aspect:.2g} times as wide as tall"
            if aspect > 1
            else (f"{1 / aspect:.2g} times as tall as wide")
        )
        notes += (f"{category.name}'s shots are {shape}: its images keep that (--resize)",)
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
