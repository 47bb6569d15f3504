#!/usr/bin/env python
"""What a trial costs beyond its detector: 100 trials that compute nothing, over Ray and MLflow.

With --recorded, also what MLflow takes for each trial of a real benchmark, in a file and a server.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import ray
from PIL import Image

from finegrain.benchmark.grid import Grid
from finegrain.cluster.connect import Share
from finegrain.cluster.connect import slots as cluster_slots
from finegrain.cluster.full import full_benchmark
from finegrain.studies.scale.replay import record_seconds
from finegrain.tracking.server import MlflowServer


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100, help="[100]")
    parser.add_argument("--recorded", type=Path, metavar="DIR", help="a benchmark's folder")
    args = parser.parse_args()
    empty_trials(args.trials)
    if args.recorded:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            uri = f"sqlite:///{folder / 'file.db'}"
            took = record_seconds(args.recorded, uri, folder / "file", args.trials)
            print(f"MLflow in a database file: {took:.3f} s a trial")
            server = MlflowServer(folder)
            server.start()
            try:
                server.wait()
                took = record_seconds(args.recorded, server.uri, folder / "server", args.trials)
            finally:
                server.kill()
            print(f"MLflow behind its server on loopback: {took:.3f} s a trial")
    return 0


def empty_trials(trials: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for split in ("train/good", "test/good"):
            path = folder / "data" / "blank" / split
            path.mkdir(parents=True)
            Image.fromarray(np.full((240, 240, 3), len(split), np.uint8)).save(path / "000.png")
        ray.init("local", log_to_driver=False)
        slots = cluster_slots(Share())
        ends: list[float] = []
        start, driver = time.perf_counter(), time.thread_time()
        grid = Grid(dataset="folder", data_root=folder / "data", methods=("chance",),
                    shots=(1,), seeds=tuple(range(trials)))  # fmt: skip
        full_benchmark(
            grid, output=folder / "runs" / "overhead", resume=None, uri=None, share=Share(),
            tell=lambda line: ends.append(time.perf_counter()) if line.startswith("[") else None,
        )  # fmt: skip
        total, driver = time.perf_counter() - start, time.thread_time() - driver
        ray.shutdown()
    steady = (ends[-1] - ends[slots - 1]) / (trials - slots)
    print(
        f"{trials} trials on {slots} slots: {total:.1f} s in all, {total / trials:.2f} s a trial;"
    )
    print(f"first result after {ends[0] - start:.1f} s, then {steady * slots:.2f} s of a slot each")
    print(f"the driver's own thread computed for {driver / trials:.3f} s a trial")


if __name__ == "__main__":
    sys.exit(main())
