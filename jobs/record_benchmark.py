#!/usr/bin/env python
"""Record in MLflow what a benchmark left on disk while the tracking server was away."""

import argparse
import sys
from functools import partial
from pathlib import Path

from finegrain.benchmark.store import load
from finegrain.cluster.full import record_benchmark
from finegrain.errors import InputError


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, help="folder of the benchmark, e.g. runs/NAME")
    parser.add_argument("--tracking-uri", help="[$MLFLOW_TRACKING_URI, else a file beside it]")
    args = parser.parse_args()
    directory = args.directory.resolve()
    tell = partial(print, flush=True)
    try:
        recorded = record_benchmark(load(directory), directory, tell, args.tracking_uri)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0 if recorded else 1


if __name__ == "__main__":
    sys.exit(main())
