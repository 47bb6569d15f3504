"""`finegrain watch`."""

import argparse
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from finegrain.cli.command import Command, tell
from finegrain.cli.options import tracking_option
from finegrain.cli.score import load_part, model_option

if TYPE_CHECKING:
    from finegrain.watching import Send

EVERY_S, TIMEOUT_S = 1.0, 10.0


def run(args: argparse.Namespace) -> int:
    """Score the photos that arrive in a folder, without a server, until interrupted.

    finegrain watch inbox/ --model folder/bracket --log verdicts.jsonl
    finegrain watch inbox/ --model folder/bracket --log verdicts.jsonl --webhook http://plc/verdict

    A photo is scored when its file no longer changes. Its verdict is a line of JSON in the log,
    which also says what was scored: after a restart the rest follows. A webhook is sent each line
    by POST, in order; what it did not answer with 2xx is sent again at the next look.
    """
    from finegrain.watching import Watch

    part = load_part(args)
    watch = Watch(part, args.folder, args.log, poster(args.webhook) if args.webhook else None)
    tell(f"watching {args.folder} for {part.category}; verdicts go to {args.log}")
    with contextlib.suppress(KeyboardInterrupt):
        watch.run(args.every)
    return 0


def poster(url: str) -> "Send":
    """Posts a line of JSON; false, and a word about it, where it was not taken."""
    import httpx

    def post(line: str) -> bool:
        headers = {"Content-Type": "application/json"}
        try:
            answer = httpx.post(url, content=line.encode(), headers=headers, timeout=TIMEOUT_S)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            tell(f"{url} did not take a verdict, which is kept and sent again: {error}")
            return False
        return True

    return post


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER")
    add("--log", type=Path, default=Path("verdicts.jsonl"), metavar="FILE",
        help="of the verdicts, a line of JSON each [verdicts.jsonl]")  # fmt: skip
    add("--webhook", metavar="URL", help="is sent each verdict")
    add(
        "--every",
        type=float,
        default=EVERY_S,
        metavar="S",
        help=f"seconds between looks [{EVERY_S:g}]",
    )


COMMAND = Command("watch", run, [model_option(), tracking_option()], arguments)
