#!/usr/bin/env python
"""What a trial costs beyond its detector: 100 trials that compute nothing, over Ray and MLflow."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import ray
from PIL import Image

from finegrain.cluster.bench import Share
from finegrain.cluster.full import full_benchmark


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100, help="[100]")
    trials = parser.parse_args().trials
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for split in ("train/good", "test/good"):
            path = folder / "data" / "blank" / split
            path.mkdir(parents=True)
            Image.fromarray(np.full((240, 240, 3), len(split), np.uint8)).save(path / "000.png")
        ray.init("local", log_to_driver=False)
        slots = int(ray.cluster_resources()["CPU"])
        ends: list[float] = []
        start = time.perf_counter()
        full_benchmark(
            {"dataset": "folder", "data_root": folder / "data", "methods": ["chance"],
             "shots": [1], "seeds": range(trials)},
            output=folder / "runs" / "overhead", resume=None, tracking_uri=None, share=Share(),
            tell=lambda line: ends.append(time.perf_counter()) if line.startswith("[") else None,
        )  # fmt: skip
        total = time.perf_counter() - start
        ray.shutdown()
    steady = (ends[-1] - ends[slots - 1]) / (trials - slots)
    print(
        f"{trials} trials on {slots} slots: {total:.1f} s in all, {total / trials:.2f} s a trial;"
    )
    print(f"first result after {ends[0] - start:.1f} s, then {steady * slots:.2f} s of a slot each")
    return 0


if __name__ == "__main__":
    sys.exit(main())
