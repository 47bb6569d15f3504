"""`finegrain audit`."""

import argparse

from finegrain.cli.command import Command
from finegrain.cli.options import tracking_option
from finegrain.errors import ConfigError


def run(args: argparse.Namespace) -> int:
    """Print who changed what is served, and when: a JSON line a change, the oldest first.

    finegrain audit                  of all parts
    finegrain audit own/bracket      of one

    Promotions, enrolments, roll backs, withdrawals and changes of false alarms are recorded in
    MLflow, in the experiment finegrain-audit, just before they are made.
    """
    if args.part and args.part.count("/") != 1:
        raise ConfigError(f"give DATASET/PART, e.g. own/bracket; got {args.part}")
    from finegrain.places import tracking_uri
    from finegrain.tracking.audit import changes

    for change in changes(args.uri or tracking_uri(), args.part):
        print(change.model_dump_json())
    return 0


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    parser.add_argument("part", metavar="DATASET/PART", nargs="?")


COMMAND = Command("audit", run, [tracking_option()], arguments)
