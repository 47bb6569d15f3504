"""`finegrain feedback`."""

import argparse
from pathlib import Path

from finegrain.cli.command import Command, tell
from finegrain.cli.options import tracking_option
from finegrain.errors import ConfigError


def run(args: argparse.Namespace) -> int:
    """Write a part's photos and its operators' corrections as a data set in the MVTec-AD layout.

    finegrain feedback own/bracket --out /data/parts

    makes /data/parts/bracket: train/good has the photos that the champion was fitted on, test/good
    the other images that were said to be good, test/missed the missed defects, and
    ground_truth/missed their boxes as masks. `finegrain benchmark --dataset folder` reads it.
    """
    if args.part.count("/") != 1:
        raise ConfigError(f"give DATASET/PART, e.g. own/bracket; got {args.part}")
    from finegrain.places import tracking_uri
    from finegrain.tracking.feedback_set import export_feedback

    dataset, _, category = args.part.partition("/")
    counts = export_feedback(args.uri or tracking_uri(), dataset, category, args.out)
    for folder, count in counts.items():
        tell(f"{folder:12} {count}")
    return 0


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    parser.add_argument("part", metavar="DATASET/PART")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="gets DIR/PART")


COMMAND = Command("feedback", run, [tracking_option()], arguments)
