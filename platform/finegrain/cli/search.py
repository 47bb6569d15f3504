"""`finegrain search`."""

import argparse

from finegrain.benchmark.grid import DataChoice, Grid
from finegrain.cli.command import Command, tell
from finegrain.cli.options import (
    OF_BACKBONE,
    OneFit,
    given,
    grid_options,
    model_options,
    output_option,
    resume_option,
    share_options,
    tracking_option,
)
from finegrain.errors import ConfigError
from finegrain.studies.search.choice import SearchChoice


def run(args: argparse.Namespace) -> int:
    """Search a method's options over a Ray cluster without looking at a test image.

    finegrain search --method finegrained --categories gear pcb --samples 30 --confirm-seeds 1 2
    finegrain search --resume NAME        with --space FILE.py:FUNCTION, where it began with one

    Settings are scored by defects painted onto changed copies of the shots; --study measures the
    test score beside, and reports how well the one ranks settings as the other does.
    """
    grid, one, chosen = (given(args, model) for model in (Grid, OneFit, SearchChoice))
    rest = grid or one or set(chosen) - {"space"} or args.method or args.output
    if args.resume and (rest or args.per_category):
        raise ConfigError(
            "--resume takes what the search began with; leave out the rest, but for the --space "
            "that you trust"
        )
    if not (args.resume or args.method):
        raise ConfigError("give --method, or --resume")
    from finegrain.cluster.connect import Share
    from finegrain.studies.search.job import begun_searches, run_search, start_searches

    if args.resume:
        directories = begun_searches(args.resume)
    else:
        fit = OneFit(**one)
        grid |= {"methods": (args.method,), "shots": (fit.number,), "seeds": (fit.seed,)}
        directories = start_searches(
            Grid(**grid), SearchChoice(**chosen), per_category=args.per_category, output=args.output
        )
    share = Share(args.cpus_per_trial, args.gpus_per_trial)
    complete = [
        run_search(
            directory,
            share,
            tell,
            confirm_seeds=args.confirm_seeds,
            uri=args.uri,
            space=chosen.get("space"),
        )
        for directory in directories
    ]
    return 0 if all(complete) else 1


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    add = parser.add_argument_group("what is searched, not with --resume").add_argument
    add("--method", help="of which detector")
    add("--per-category", action="store_true", help="a search each, instead of one for all")
    add = parser.add_argument_group("where").add_argument
    add("--confirm-seeds", nargs="+", type=int, default=[], metavar="SEED",
        help="put the best setting beside the default on shots that these draw")  # fmt: skip


COMMAND = Command(
    "search",
    run,
    [
        model_options(SearchChoice, title="what is searched, not with --resume"),
        model_options(OneFit, title="on what, not with --resume"),
        grid_options(
            *DataChoice.model_fields, "categories", *OF_BACKBONE, "resize", "options",
            "captions",
            title="on what, not with --resume",
        ),
        output_option("folder of the search [runs/search-TIME]"),
        resume_option(),
        tracking_option("beside the output"),
        share_options(),
    ],
    arguments,
)  # fmt: skip
