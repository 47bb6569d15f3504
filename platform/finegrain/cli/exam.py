"""`finegrain exam`."""

import argparse
from pathlib import Path

from finegrain.cli.command import Command, tell


def run(args: argparse.Namespace) -> int:
    """Score the bundled model without a shot, on held-out scenes and on the factory's categories.

    Exits with 1 where a score is below what the project requires of a shipped model.
    """
    from finegrain.backbones.clip.bundled import BUNDLED
    from finegrain.places import runs_folder
    from finegrain.pretraining.exam import examine

    cache = args.cache or runs_folder() / "pretrain_backbone" / "scenes"
    passed = examine(args.model or BUNDLED, args.scenes, args.factory, cache, tell)
    return 0 if passed else 1


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    add = parser.add_argument
    add("--model", type=Path, metavar="DIR", help="of the model [the shipped one]")
    add("--scenes", type=int, default=1200, help="held-out scenes [%(default)s]")
    add("--factory", type=int, default=8,
        help="images of each factory defect; 0: none [%(default)s]")  # fmt: skip
    add("--cache", type=Path, metavar="DIR",
        help="of encoded scenes [runs/pretrain_backbone/scenes]")  # fmt: skip


COMMAND = Command("exam", run, arguments=arguments)
