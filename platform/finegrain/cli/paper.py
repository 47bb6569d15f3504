"""`finegrain paper`."""

import argparse
from pathlib import Path

from finegrain.benchmark.grid import Grid
from finegrain.cli.command import Command, tell
from finegrain.cli.options import (
    given,
    grid_options,
    output_option,
    pairs,
    share_options,
    tracking_option,
)

MORE = ("shot_selection", "captions")


def run(args: argparse.Namespace) -> int:
    """Run what a table or figure of the paper needs, write it beside what is published.

    finegrain paper --table 1 --dry-run
    finegrain paper --table 1 --data-root mvtec=/data/mvtec visa=/data/visa \\
        --backbone-weights ViT-B-16-plus-240=laion400m_e31 --gpus-per-trial 0.25
    finegrain paper --table 4 --datasets factory --backbone bundled      offline
    Run again with the same --output, it goes on with what is missing.
    """
    roots = pairs(args.roots, "--data-root")
    weights = pairs(args.weights_of_each, "--backbone-weights")
    from finegrain.cluster.connect import Share
    from finegrain.studies.paper.inputs import Inputs
    from finegrain.studies.paper.run import make_exhibit

    shared = given(args, Grid)
    grid = Grid(**shared)
    inputs = Inputs(
        datasets=tuple(args.datasets),
        roots={dataset: Path(root) for dataset, root in roots.items()},
        clip=args.backbone_of_all,
        weights=weights,
        categories=grid.categories,
        seeds=grid.seeds,
        more={name: shared[name] for name in MORE if name in shared},
    )
    complete = make_exhibit(
        f"table-{args.table}" if args.table else f"figure-{args.figure}",
        inputs,
        output=args.output,
        share=Share(args.cpus_per_trial, args.gpus_per_trial),
        tracking_uri=args.uri,
        dry=args.dry_run,
        timings=args.timings,
        tell=tell,
    )
    return 0 if complete else 1


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--table", type=int, choices=range(1, 7))
    which.add_argument("--figure", type=int, choices=range(5, 8))
    add = parser.add_argument_group("on what").add_argument
    add("--datasets", "--dataset", nargs="+", default=[], metavar="NAME", help="[the paper's]")
    add("--data-root", nargs="+", default=[], dest="roots", metavar="DATASET=DIR",
        help="of the categories")  # fmt: skip
    add("--backbone", "--clip", dest="backbone_of_all", metavar="MODEL",
        help="one for all methods [the paper's of each]")  # fmt: skip
    add("--backbone-weights", "--clip-weights", nargs="+", default=[], dest="weights_of_each",
        metavar="MODEL=FILE|TAG", help="of open_clip models")  # fmt: skip
    add = parser.add_argument_group("how").add_argument
    add("--dry-run", action="store_true", help="tell the trials and how long they would take")
    add("--timings", nargs="+", type=Path, default=[], metavar="DIR",
        help="recorded benchmarks that a dry run takes seconds from")  # fmt: skip


COMMAND = Command(
    "paper",
    run,
    [
        grid_options("categories", "seeds", *MORE),
        output_option("shared by all tables and figures [runs/paper]"),
        tracking_option("in the output"),
        share_options(),
    ],
    arguments,
)
