"""`finegrain compare`."""

import argparse

from finegrain.cli.command import Command
from finegrain.cli.options import output_option, tracking_option


def run(args: argparse.Namespace) -> int:
    """Compare the methods of recorded benchmarks: paired differences, how sure, at what cost.

    finegrain compare full_benchmark-20260101-120000                    its methods
    finegrain compare cheap promptad --reference patchcore --shots 4    pooled
    finegrain compare RUN_ID RUN_ID                                     single trials
    Methods of the same name with other options or another backbone are named apart, as
    "METHOD [BENCHMARK]" or "METHOD BACKBONE", which is what --reference and --methods take then.
    """
    from finegrain.places import tracking_uri
    from finegrain.studies.compare.run import compare_recorded

    text, folder = compare_recorded(
        args.runs,
        uri=args.uri or tracking_uri(),
        reference=args.reference,
        metrics=args.metric,
        methods=args.methods,
        shots=args.shots,
        published=args.published,
        resamples=args.resamples,
        output=args.output,
    )
    print(f"{text}\n\ncomparison.md, .csv and .png: {folder}")
    return 0


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    add = parser.add_argument
    add("runs", nargs="+", metavar="RUN_OR_BENCHMARK",
        help="a benchmark's name or run id, or a trial's run id")  # fmt: skip
    add("--reference", metavar="METHOD", help="that others are compared with [of the first run]")
    add("--methods", nargs="+", default=[], metavar="METHOD", help="compared with it [all]")
    add("--metric", nargs="+", default=("image_auroc", "pixel_auroc"),
        help="[image_auroc pixel_auroc]")  # fmt: skip
    add("--shots", nargs="+", type=int, default=[], help="[all]")
    add("--published", action="store_true",
        help="with the paper's numbers for that data set, marked †, without pairs")  # fmt: skip
    add("--resamples", type=int, default=10_000, help="of the bootstrap [%(default)s]")


COMMAND = Command(
    "compare", run, [output_option("[runs/compare-TIME]"), tracking_option()], arguments
)
