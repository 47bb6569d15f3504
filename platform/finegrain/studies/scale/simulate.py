"""A benchmark on W workers, as a discrete-event model: what it takes, and what limits it.

A worker takes the next trial of the order whenever it is free. It encodes what it does not hold,
as `trial.Worker` does, and then fits and scores. Two things are serial: the driver, which finishes
a trial and starts the next, and the MLflow recorder, which follows in a thread of its own.
"""

import heapq
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from finegrain.benchmark.trial import KEPT_COPIES, KEPT_TEST_SETS
from finegrain.errors import ConfigError


@dataclass(frozen=True)
class Job:
    """What a trial costs a worker.

    Attributes:
        seconds: of the fit, scoring, evaluation: what no other trial saves it.
        encoded: the test images that it needs encoded.
        encode_seconds: of encoding them.
        copies: the shots whose changed copies it needs encoded.
        copies_seconds: of encoding those of one shot.
    """

    seconds: float
    encoded: Hashable = None
    encode_seconds: float = 0.0
    copies: tuple[Hashable, ...] = ()
    copies_seconds: float = 0.0

    @property
    def alone(self) -> float:
        """Seconds on a worker that holds nothing."""
        return self.seconds + self.encode_seconds + len(self.copies) * self.copies_seconds


# Measured by benchmarks/bench_overhead.py --trials 200 on 2026-11-25: two x86-64 cores, load 8.
# The driver in CPU time of its thread, 0.028 s a trial in all; MLflow in wall time, with real
# checkpoints, 0.08 s of which are computed in the driver's process for a database file.
START_SECONDS, FINISH_SECONDS = 0.014, 0.014
SQLITE_SECONDS, SERVER_SECONDS = 0.43, 1.03
LOAD_SECONDS = 8.0  # CPU time of imports, 7.4, and of the bundled CLIP


@dataclass(frozen=True)
class Serial:
    """Seconds of what no number of workers shortens, and of a worker's own start."""

    start: float = START_SECONDS  # the driver's, to start a trial
    finish: float = FINISH_SECONDS  # the driver's, to take a result
    record: float = SQLITE_SECONDS  # MLflow's, for each result
    load: float = LOAD_SECONDS  # a worker's process and its backbone, once

    def __post_init__(self) -> None:
        if min(self.start, self.finish, self.record, self.load) < 0:
            raise ConfigError(f"seconds must not be negative; got {self}")


class Held:
    """What a worker keeps encoded: the last few that it used."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._keys: OrderedDict[Hashable, None] = OrderedDict()

    def needs(self, key: Hashable) -> bool:
        """Take it up as the last used; True if it was not there."""
        missing = key not in self._keys
        self._keys[key] = None
        self._keys.move_to_end(key)
        while len(self._keys) > self._size:
            self._keys.popitem(last=False)
        return missing


@dataclass
class SimulatedWorker:
    """A worker's caches and what it did."""

    loaded: bool = False
    busy: float = 0.0
    encoding: float = 0.0
    idle_since: float = 0.0
    tests: Held = field(default_factory=lambda: Held(KEPT_TEST_SETS))
    copies: Held = field(default_factory=lambda: Held(KEPT_COPIES))

    def seconds(self, job: Job, load: float) -> float:
        """What the job takes here and now; afterwards the worker holds what it encoded."""
        encoding = job.encode_seconds if self.tests.needs(job.encoded) else 0.0
        for shot in job.copies:
            encoding += job.copies_seconds if self.copies.needs(shot) else 0.0
        total = encoding + job.seconds + (0.0 if self.loaded else load)
        self.loaded = True
        self.busy += total
        self.encoding += encoding
        return total


@dataclass(frozen=True)
class Outcome:
    """A simulated benchmark.

    Attributes:
        makespan: seconds until the driver has the last result.
        utilisation: share of the workers' time in which they worked.
        encoding: share of the workers' work that encoded test images and copies.
        tail: seconds from the first idle worker to the end.
        driver_busy: share of the makespan.
        mlflow_busy: share of the time until everything is recorded.
        mlflow_lag: seconds from the last result until everything is recorded.
    """

    workers: int
    makespan: float
    utilisation: float
    encoding: float
    tail: float
    driver_busy: float
    mlflow_busy: float
    mlflow_lag: float


def simulate(jobs: Sequence[Job], workers: int, serial: Serial | None = None) -> Outcome:
    """Run the jobs in their order on that many workers.

    The driver serves in the order of its requests: with s to start and f to finish a trial, n
    trials of no length take n·(s + f), however many workers there are.
    """
    if workers < 1 or not jobs:
        raise ConfigError(f"nothing to simulate: {len(jobs)} trials on {workers} workers")
    serial = serial or Serial()
    crew = [SimulatedWorker() for _ in range(workers)]
    waiting = list(reversed(jobs))
    driver = mlflow = 0.0
    events: list[tuple[float, int, bool]] = [(0.0, n, False) for n in range(workers)]
    while events:
        now, number, finished = heapq.heappop(events)
        worker = crew[number]
        if finished:
            driver = max(driver, now) + serial.finish
            mlflow = max(mlflow, driver) + serial.record
            worker.idle_since = now
        if waiting:
            driver = max(driver, now) + serial.start
            took = worker.seconds(waiting.pop(), serial.load)
            heapq.heappush(events, (driver + took, number, True))
    return Outcome(
        workers=workers,
        makespan=driver,
        utilisation=_share(sum(worker.busy for worker in crew), workers * driver),
        encoding=_share(sum(w.encoding for w in crew), sum(w.busy for w in crew)),
        tail=driver - min(worker.idle_since for worker in crew),
        driver_busy=_share(len(jobs) * (serial.start + serial.finish), driver),
        mlflow_busy=_share(len(jobs) * serial.record, mlflow),
        mlflow_lag=mlflow - driver,
    )


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def bounds(jobs: Sequence[Job], workers: int, serial: Serial) -> dict[str, float]:
    """Seconds that no order can beat, by what sets them.

    work / W with everything encoded once; the longest trial on a fresh worker; n times what the
    driver takes; n times what MLflow takes, which holds up the record alone.
    """
    tests = {job.encoded: job.encode_seconds for job in jobs}
    copies = {key: job.copies_seconds for job in jobs for key in job.copies}
    once = sum(tests.values()) + sum(copies.values()) + serial.load
    turn = serial.start + serial.finish
    return {
        "work": (sum(job.seconds for job in jobs) + once) / workers,
        "longest trial": max(job.alone for job in jobs) + serial.load + turn,
        "driver": len(jobs) * turn,
        "MLflow": len(jobs) * serial.record,
    }


def limit(outcome: Outcome, bounds: dict[str, float], slack: float = 1.2) -> str:
    """The largest bound; where even that is far from the end, where the workers' time goes."""
    name, seconds = max(bounds.items(), key=lambda item: item[1])
    if outcome.makespan + outcome.mlflow_lag <= slack * seconds:
        return name
    worked = outcome.utilisation * outcome.makespan
    return "encoding again" if worked - bounds["work"] > outcome.makespan - worked else "uneven end"
