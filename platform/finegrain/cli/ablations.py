"""`finegrain ablations`."""

import argparse

from finegrain.benchmark.grid import Grid
from finegrain.cli.command import Command, tell
from finegrain.cli.options import given, grid_options, output_option, share_options
from finegrain.studies.variants import ABLATIONS

FIELDS = [name for name in Grid.model_fields if name not in ("methods", "options")]


def run(args: argparse.Namespace) -> int:
    """Measure what each part of FineGrainedAD is worth: one benchmark an ablation, a variant a row.

    finegrain ablations regions temperature     starts a local Ray of its own
    ray job submit --working-dir . -- python jobs/ablations.py components --shots 4
    Run again with the same --output, it goes on with what is missing; with another grid it keeps
    the results that still belong to it.
    """
    from finegrain.cluster.connect import Share
    from finegrain.studies.ablations import run_ablations

    grid = Grid(**given(args, Grid))
    share = Share(args.cpus_per_trial, args.gpus_per_trial)
    return 0 if run_ablations(args.names, grid, args.output, share, tell) else 1


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    parser.add_argument("names", nargs="+", choices=sorted(ABLATIONS), metavar="NAME",
                        help=", ".join(ABLATIONS))  # fmt: skip


COMMAND = Command(
    "ablations",
    run,
    [
        grid_options(*FIELDS, defaults={"shots": (4,)}),
        output_option("a folder an ablation below it [runs/ablations]"),
        share_options(),
    ],
    arguments,
)
