"""`finegrain record`."""

import argparse
from pathlib import Path

from finegrain.cli.command import Command, tell
from finegrain.cli.options import tracking_option


def run(args: argparse.Namespace) -> int:
    """Record in MLflow what a benchmark left on disk while the tracking server was away."""
    from finegrain.benchmark.store import load
    from finegrain.cluster.full import record_benchmark

    directory = args.directory.resolve()
    return 0 if record_benchmark(load(directory), directory, tell, args.uri) else 1


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    parser.add_argument("directory", type=Path, help="folder of the benchmark, e.g. runs/NAME")


COMMAND = Command("record", run, [tracking_option("beside it")], arguments)
