"""A benchmark on disk, in one directory that every node must reach.

    benchmark.json              the grid
    trials/NAME/                result.json, checkpoint/ and heatmaps.png, written by the worker
    results.csv, table.md, ...  see report.py
    mlflow.json                 where it was recorded, see cluster/record.py

So resuming is planning again: what lies here is the state.
"""

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import ValidationError

from finegrain.benchmark.plan import Benchmark, Trial, TrialResult, read_result
from finegrain.benchmark.trial import RESULT
from finegrain.errors import ConfigError
from finegrain.files import write_text

BENCHMARK, TRIALS, MLFLOW = "benchmark.json", "trials", "mlflow.json"
NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK}


def check_new(directory: Path) -> None:
    """ConfigError where a benchmark lies in the directory already."""
    if (directory / BENCHMARK).exists():
        raise ConfigError(
            f"{directory} already holds a benchmark; continue it with --resume {directory.name}, "
            "or choose another --output"
        )


def create(benchmark: Benchmark, directory: Path) -> None:
    """Write the grid into a new benchmark directory."""
    check_new(directory)
    write_text(directory / BENCHMARK, benchmark.model_dump_json(indent=1) + "\n")


def create_or_find(benchmark: Benchmark, directory: Path) -> None:
    """Write the grid unless it stands there; ConfigError where another one does."""
    if not (directory / BENCHMARK).exists():
        create(benchmark, directory)
        return
    stored, wanted = load(directory).model_dump(), benchmark.model_dump()
    if other := [name for name in wanted if stored[name] != wanted[name]]:
        raise ConfigError(
            f"{directory} holds a benchmark with other {', '.join(other)}; resume it as it began "
            f"with --resume {directory.name}, or choose another --output"
        )


def load(directory: Path) -> Benchmark:
    """The grid of an existing benchmark directory."""
    try:
        found = Benchmark.model_validate_json((directory / BENCHMARK).read_bytes())
    except FileNotFoundError as error:
        raise ConfigError(f"{directory} holds no {BENCHMARK}: nothing to resume") from error
    except ValidationError as error:
        raise ConfigError(f"{directory / BENCHMARK} is damaged: {error}") from error
    beside = directory.parent / "data" / found.dataset  # where the benchmark itself renders it
    if not found.data_root.exists() and beside.is_dir():  # both were moved together
        return found.model_copy(update={"data_root": beside})
    return found


@contextmanager
def only_driver(directory: Path) -> Iterator[None]:
    """Hold the directory's lock; ConfigError while another driver runs the same benchmark."""
    directory.mkdir(parents=True, exist_ok=True)
    lock = FileLock(directory / ".lock", blocking=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise ConfigError(f"another driver is running {directory}; wait for it") from error
    except (NotImplementedError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in NO_LOCKS:
            raise
        raise ConfigError(
            f"the file system of {directory} has no file locks ({error}), so that two drivers "
            "could run one benchmark; give an --output elsewhere, or mount it with locks (of NFS, "
            "without nolock)"
        ) from error
    try:
        yield
    finally:
        lock.release()


def create_or_replace(benchmark: Benchmark, directory: Path) -> None:
    """Write the grid unless it stands there.

    One that was changed since, by more seeds for example, keeps the results that still belong to
    it, and is a new parent run in MLflow.
    """
    stored = directory / BENCHMARK
    if not stored.exists() or load(directory) != benchmark:
        stored.unlink(missing_ok=True)
        (directory / MLFLOW).unlink(missing_ok=True)
        create(benchmark, directory)


def trial_directory(directory: Path, trial: Trial) -> Path:
    """Where everything of the trial lies."""
    return directory / TRIALS / trial.name


def stored_results(directory: Path, trials: Sequence[Trial]) -> dict[str, TrialResult]:
    """The valid results on disk by trial name, failed ones included."""
    found = {t.name: read_result(trial_directory(directory, t) / RESULT, t) for t in trials}
    return {name: result for name, result in found.items() if result}
