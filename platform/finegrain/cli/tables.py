"""`finegrain tables`."""

import argparse
from pathlib import Path

from finegrain.cli.command import Command


def run(args: argparse.Namespace) -> int:
    """Write several benchmarks as one table, for example of methods with different backbones."""
    from finegrain.benchmark.report import combined

    print(combined(args.directories))
    return 0


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    parser.add_argument("directories", nargs="+", type=Path, help="of benchmarks, e.g. runs/NAME")


COMMAND = Command("tables", run, arguments=arguments)
