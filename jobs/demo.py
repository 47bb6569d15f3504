#!/usr/bin/env python
"""Submit the main job to the Ray head at $RAY_ADDRESS, or to one started here for the job."""

import argparse
import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

from finegrain.cluster.head import accepts_jobs, local_head, ray_environment


def main() -> int:
    """The exit status of the job."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log", type=Path, default=Path("runs/ray-head.log"), help="of the head")
    args, job = parser.parse_known_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the head is stopped as well
    running = os.environ.get("RAY_ADDRESS")
    if running and not accepts_jobs(running):
        parser.error(f"no Ray head answers to our token at RAY_ADDRESS={running}; unset it, or "
                     "start one with `make head`")  # fmt: skip
    with nullcontext(running) if running else local_head(log=args.log) as address:
        print(f"Ray runs at {address}", flush=True)
        command = ["ray", "job", "submit", "--address", address, "--", "jobs/full_benchmark.py"]
        return subprocess.run([*command, *job], env=ray_environment()).returncode


if __name__ == "__main__":
    sys.exit(main())
