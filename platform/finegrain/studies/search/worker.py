"""One setting from beginning to end on one worker, learning on all categories side by side."""

import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from finegrain.backbones import (
    Backbone,
    RgbImage,
    Windows,
    aspect_of,
    framed,
    shots_aspect,
)
from finegrain.benchmark.plan import Trial
from finegrain.benchmark.trial import Worker, shot_paths
from finegrain.data.images import read_rgb
from finegrain.detectors import Detector, make_detector
from finegrain.errors import DatasetError
from finegrain.evaluation.evaluate import TestSet, evaluate, score_all
from finegrain.evaluation.metrics import Scores
from finegrain.evaluation.validation import HeldOut, hold_out, validate
from finegrain.studies.search.spec import Options, Search, Step, with_setting


class SettingWorker:
    """Runs settings in one process; shots, their copies and test images are encoded once."""

    def __init__(self, device: str, threads: int) -> None:
        self._worker = Worker(device, threads)
        self._held_out: dict[tuple[object, ...], HeldOut] = {}

    def run(self, search: Search, trials: Sequence[Trial], setting: Options) -> Iterator[Step]:
        """Fit and score at each rung of the search; InputError where the setting is impossible.

        Args:
            search: what is asked.
            trials: of the search's benchmark, one a category.
            setting: options beside theirs.
        """
        start = time.perf_counter()
        fits = [_Fit(self, with_setting(trial, setting), search) for trial in trials]
        for _ in search.rungs:
            epochs = {fit.advance() for fit in fits}
            yield Step(
                epoch=max(epochs),
                validation={fit.category: fit.validation() for fit in fits},
                test={fit.category: fit.test() for fit in fits} if search.measures_test else {},
                seconds=time.perf_counter() - start,
            )

    def backbone(self, trial: Trial) -> Backbone:
        """The frozen model that the trial names."""
        return self._worker.backbone(trial.backbone, trial.weights)

    def held_out(
        self, paths: tuple[Path, ...], seed: int, backbone: Backbone, windows: Windows | None
    ) -> HeldOut:
        """The shots and their copies."""
        key = (paths, seed, backbone.weights_hash, aspect_of(backbone), windows)
        if key not in self._held_out:
            self._held_out[key] = hold_out(backbone, _images(paths), seed=seed, windows=windows)
        return self._held_out[key]

    def test_set(
        self, trial: Trial, paths: tuple[Path, ...], backbone: Backbone, windows: Windows | None
    ) -> TestSet:
        """The trial's test images, which only a study asks for; DatasetError if a shot is one."""
        encoded = self._worker.encoded(trial, trial.load_category(), backbone, windows)
        encoded.checked(paths)
        if encoded.test is None:
            raise DatasetError(f"{trial.category} has no test image; a study measures on them")
        return encoded.test


class _Fit:
    """A detector that learns on one category, a rung at a time."""

    def __init__(self, worker: SettingWorker, trial: Trial, search: Search) -> None:
        paths = shot_paths(trial, trial.load_category())
        aspect = shots_aspect(trial.resize, _images(paths))
        backbone = framed(worker.backbone(trial), aspect)
        self.category = trial.category
        self._detector: Detector = make_detector(
            trial.method, backbone, trial.options, seed=trial.seed
        )
        windows = self._detector.windows
        self._held_out = worker.held_out(paths, trial.seed, backbone, windows)
        self._test: TestSet | None = None
        if search.measures_test:
            self._test = worker.test_set(trial, paths, backbone, windows)
        self._epochs = self._detector.epochs(_images(paths), pauses=search.rungs)

    def advance(self) -> int:
        """Learn up to the next rung; how many epochs that makes."""
        return next(self._epochs)

    def validation(self) -> Scores:
        return validate(self._detector, self._held_out)

    def test(self) -> Scores:
        assert self._test is not None
        return evaluate(score_all(self._detector, self._test.tokens), self._test)


@cache
def _images(paths: tuple[Path, ...]) -> tuple[RgbImage, ...]:
    return tuple(read_rgb(path) for path in paths)
