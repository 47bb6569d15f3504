#!/usr/bin/env python
"""A Ray head on this machine's loopback until Ctrl-C, and how to submit jobs to it."""

import argparse
import signal
import sys
from pathlib import Path

from finegrain.cluster.head import local_head
from finegrain.errors import InputError
from finegrain.loopback import ENVIRONMENT


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dashboard-port", type=int, default=8265, help="[8265]")
    parser.add_argument("--log", type=Path, default=Path("runs/ray-head.log"), help="of the head")
    args = parser.parse_args()
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, lambda *_: sys.exit(0))
    try:
        with local_head(log=args.log, dashboard_port=args.dashboard_port) as address:
            print(f"Ray dashboard: {address}\nIn another terminal:")
            for name, value in (ENVIRONMENT | {"RAY_ADDRESS": address}).items():
                print(f"  export {name}={value}")
            print("  .venv/bin/ray job submit jobs/full_benchmark.py", flush=True)
            signal.pause()
    except InputError as error:
        print(f"error: {error} with --dashboard-port", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
