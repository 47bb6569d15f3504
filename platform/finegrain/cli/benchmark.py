"""`finegrain benchmark`."""

import argparse

from finegrain.benchmark.grid import Grid
from finegrain.cli.command import Command, tell
from finegrain.cli.options import (
    given,
    grid_options,
    output_option,
    resume_option,
    share_options,
    tracking_option,
)


def run(args: argparse.Namespace) -> int:
    """Benchmark few-shot anomaly detectors over a Ray cluster.

    finegrain benchmark                                     starts a local Ray of its own
    finegrain benchmark --methods patchcore --shots 1 4
    finegrain benchmark --resume NAME                       only what has no valid result
    ray job submit jobs/full_benchmark.py                   on a running cluster
    """
    from finegrain.cluster.connect import Share
    from finegrain.cluster.full import full_benchmark

    complete = full_benchmark(
        Grid(**given(args, Grid)),
        output=args.output,
        resume=args.resume,
        uri=args.uri,
        share=Share(args.cpus_per_trial, args.gpus_per_trial),
        tell=tell,
        start_or_resume=args.start_or_resume,
    )
    return 0 if complete else 1


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    parser.add_argument(
        "--start-or-resume", action="store_true",
        help="where --output holds this benchmark already, run what is missing of it",
    )  # fmt: skip


COMMAND = Command(
    "benchmark",
    run,
    [
        grid_options(title="the grid, not with --resume"),
        output_option("folder of the benchmark [runs/full_benchmark-TIME]"),
        resume_option(),
        tracking_option("beside the output"),
        share_options(),
    ],
    arguments,
)
