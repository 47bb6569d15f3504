#!/usr/bin/env python
"""Submit the main job to a Ray head on this machine; a head is started for it if none runs."""

import argparse
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

from finegrain.cluster.local import DASHBOARD, accepts_jobs, local_head, ray_environment


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log", type=Path, default=Path("runs/ray-head.log"), help="of the head")
    args, job = parser.parse_known_args()
    running = os.environ.get("RAY_ADDRESS", DASHBOARD)
    head = nullcontext(running) if accepts_jobs(running) else local_head(log=args.log)
    with head as address:
        print(f"Ray runs at {address}", flush=True)
        command = ["ray", "job", "submit", "--address", address, "--", "jobs/full_benchmark.py"]
        return subprocess.run([*command, *job], env=ray_environment()).returncode


if __name__ == "__main__":
    sys.exit(main())
