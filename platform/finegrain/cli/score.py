"""`finegrain score`."""

import argparse
import csv
import sys
from pathlib import Path

from finegrain.cli.command import Command

COLUMNS = ("image", "score", "threshold", "rejected", "reason")


def run(args: argparse.Namespace) -> int:
    """Score images with a fitted detector, without a server: a CSV row for each image.

    finegrain score --model runs/NAME/trials/TRIAL/checkpoint photos/*.png

    What can't be read is named in its row; the exit status is 1 then.
    """
    from finegrain.errors import ImageError
    from finegrain.fitted import load

    part = load(args.model, weights=args.weights)
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(COLUMNS)
    unread = 0
    for path in args.images:
        try:
            verdict = part.inspect(path)
        except ImageError as error:
            unread += 1
            table.writerow([path, "", "", "", str(error)])
            continue
        threshold = "" if verdict.threshold is None else f"{verdict.threshold:.4f}"
        decided = "" if verdict.rejected is None else str(verdict.rejected).lower()
        table.writerow([path, f"{verdict.score:.4f}", threshold, decided, verdict.reason])
    return 1 if unread else 0


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    parser.add_argument("--model", type=Path, required=True, metavar="DIR",
        help="of a checkpoint, as a benchmark or FittedDetector.save writes it")  # fmt: skip
    parser.add_argument("--backbone-weights", dest="weights", metavar="PATH|TAG",
        help="of its backbone, where those do not come with the package")  # fmt: skip


COMMAND = Command("score", run, arguments=arguments)
