"""The main job: run what is missing of a benchmark, report it, record it."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from finegrain.benchmark.grid import Grid
from finegrain.benchmark.plan import Benchmark, Trial, TrialResult, plan, resolve
from finegrain.benchmark.report import report_text, result_line, write_report
from finegrain.benchmark.store import (
    check_new,
    create,
    create_or_find,
    load,
    only_driver,
    stored_results,
)
from finegrain.benchmark.trial import failed
from finegrain.cluster.bench import RunEndedError, run_missing
from finegrain.cluster.connect import Share
from finegrain.cluster.record import Recorder
from finegrain.errors import ConfigError
from finegrain.places import begun_folder, new_folder, tracking_uri

Tell = Callable[[str], None]


def full_benchmark(
    grid: Grid,
    *,
    output: Path | None,
    resume: str | None,
    uri: str | None,
    share: Share,
    tell: Tell,
    start_or_resume: bool = False,
) -> bool:
    """Start the benchmark of that grid, or resume one, with no grid; True if it is complete.

    With `start_or_resume`, an output that holds the benchmark of that grid is resumed.
    """
    if resume:
        if grid.model_fields_set or output or start_or_resume:
            others = {"output": output, "start_or_resume": start_or_resume}
            given = ", ".join(
                [*sorted(grid.model_fields_set), *(k for k, v in others.items() if v)]
            )
            raise ConfigError(f"--resume takes the grid that the run began with; leave out {given}")
        directory = begun_folder(resume)
        return run_benchmark(load(directory), directory, share, tell, uri)
    if start_or_resume and output is None:
        raise ConfigError("--start-or-resume needs the folder that is the same each time: --output")
    return begin(grid, "full_benchmark", output, uri, share, tell, start_or_resume)[1]


def begin(
    grid: Grid,
    kind: str,
    output: Path | None,
    uri: str | None,
    share: Share,
    tell: Tell,
    or_resume: bool = False,
) -> tuple[Path, bool]:
    """Start the benchmark of that grid, or resume it; its folder, and whether it is complete."""
    directory = new_folder(kind, output)
    if not or_resume:
        check_new(directory)
    tell(f"Preparing the data set {grid.dataset}")
    benchmark = resolve(grid, beside=directory.parent)
    create_or_find(benchmark, directory) if or_resume else create(benchmark, directory)
    return directory, run_benchmark(benchmark, directory, share, tell, uri)


def run_benchmark(
    benchmark: Benchmark, directory: Path, share: Share, tell: Tell, uri: str | None = None
) -> bool:
    """Run, report and record; True if every trial of the benchmark has its result."""
    with only_driver(directory):
        trials = plan(benchmark)
        results = stored_results(directory, trials)
        done = sum(result.status == "ok" for result in results.values())
        tell(f"{len(trials)} trials, {done} of them done before; results in {directory}")
        tell(f"Whatever may end this early, --resume {directory} runs what is missing then")
        recorder = Recorder(benchmark, directory, uri or tracking_uri(directory.parent), tell)
        progress = Progress(done, len(trials), tell)
        told: dict[str, TrialResult] = {}

        def report(result: TrialResult) -> None:
            told[result.trial.name] = result
            progress.step(result)
            recorder.record(result)

        try:
            run_missing(trials, results, directory, share, report)
        except RunEndedError as error:
            tell(f"The run ended early: {error}")
            left = [trial for trial in trials if trial.name not in told]
            told |= {t.name: failed(t, f"not run to its end: {error}") for t in left}
        return _conclude(benchmark, directory, recorder, tell, told)


def record_benchmark(
    benchmark: Benchmark, directory: Path, tell: Tell, uri: str | None = None
) -> bool:
    """Report and record what lies on disk without running anything; True if all was recorded."""
    with only_driver(directory):
        recorder = Recorder(benchmark, directory, uri or tracking_uri(directory.parent), tell)
        _conclude(benchmark, directory, recorder, tell, {})
        return not recorder.failed


class Progress:
    """A line for every finished trial, with the time that is left at the pace so far."""

    def __init__(self, done: int, total: int, tell: Tell) -> None:
        self._first, self._done, self._total = done, done, total
        self._tell = tell
        self._start = time.monotonic()

    def step(self, result: TrialResult) -> None:
        """Tell of one more finished trial."""
        self._done += 1
        pace = (time.monotonic() - self._start) / (self._done - self._first)
        left = round(pace * (self._total - self._done))
        width = len(str(self._total))
        self._tell(
            f"[{self._done:{width}}/{self._total}, {left // 60}:{left % 60:02} left] "
            f"{result_line(result)}"
        )


def _conclude(
    benchmark: Benchmark,
    directory: Path,
    recorder: Recorder,
    tell: Tell,
    told: Mapping[str, TrialResult],
) -> bool:
    """Report and record what is on disk, or else what was told; True if all of it is complete."""
    trials = plan(benchmark)
    stored = stored_results(directory, trials)
    done = {name: result for name, result in stored.items() if result.status == "ok"}
    results = {**stored, **told, **done}
    tell(f"\n{report_text(trials, results)}\n")
    if written := _write(benchmark, trials, results, directory, tell):
        tell(f"Tables, results.csv and heatmaps: {directory}")
    recorder.finish(trials, results)
    complete = len(done) == len(trials)
    if not (written and complete):
        tell(f"Run what is missing with --resume {directory}")
    return written and complete


def _write(
    benchmark: Benchmark,
    trials: Sequence[Trial],
    results: Mapping[str, TrialResult],
    directory: Path,
    tell: Tell,
) -> bool:
    try:
        write_report(benchmark, trials, results, directory)
    except OSError as error:
        tell(f"The report could not be written: {error}")
        return False
    return True
