"""`finegrain score`."""

import argparse
import csv
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finegrain.cli.command import Command, Parser
from finegrain.cli.options import tracking_option
from finegrain.errors import ConfigError, ImageError

if TYPE_CHECKING:
    from finegrain.decision import Verdict
    from finegrain.fitted import FittedDetector

COLUMNS = ("image", "score", "threshold", "rejected", "reason")


def run(args: argparse.Namespace) -> int:
    """Score images with a fitted detector, without a server: a CSV row for each image.

    finegrain score photos/ --model folder/bracket --out results.csv
    finegrain score a.png b.png --model runs/NAME/trials/TRIAL/checkpoint --heatmaps heat/

    A folder stands for all images below it. Any number of images can be given: a few are in memory
    at a time, and rows are written as they come. What can't be read is named in its row; the exit
    status is 1 then.
    """
    from tqdm import tqdm

    part = load_part(args)
    paths = list(images_of(args.images))
    unread = 0
    with ExitStack() as stack:
        out = sys.stdout
        if args.out:
            out = stack.enter_context(args.out.open("w", newline="", encoding="utf-8"))
        table = csv.writer(out, lineterminator="\n")
        table.writerow(COLUMNS)
        outcomes = zip(paths, part.inspect_each(paths), strict=True)
        quiet = args.out is None and sys.stdout.isatty()
        for path, outcome in tqdm(outcomes, total=len(paths), unit="image", disable=quiet):
            table.writerow([path, *_row(outcome)])
            out.flush()
            if isinstance(outcome, ImageError):
                unread += 1
            elif args.heatmaps:
                _draw(path, outcome, args.heatmaps)
    return 1 if unread else 0


def images_of(given: Sequence[Path]) -> Iterator[Path]:
    """The files as given, and the images below each folder; ConfigError where there is none."""
    from finegrain.data.listing import images_below

    for path in given:
        found = images_below(path) if path.is_dir() else iter([path])
        first = next(found, None)
        if first is None:
            raise ConfigError(f"{path} holds no image")
        yield from chain([first], found)


def load_part(args: argparse.Namespace) -> "FittedDetector":
    """The detector of --model: a checkpoint's directory, or the champion of DATASET/PART."""
    from finegrain.fitted import load

    return load(_directory(args.model, args.uri), weights=args.weights)


def _directory(model: str, uri: str | None) -> Path:
    if Path(model).is_dir() or model.count("/") != 1:
        return Path(model)
    from finegrain.places import downloads, tracking_uri
    from finegrain.tracking import Registry

    uri = uri or tracking_uri()
    registry = Registry(uri)
    champion = registry.champion(*model.split("/"))
    if champion is None:
        known = ", ".join(sorted(registry.champions())) or "none"
        raise ConfigError(
            f"{model} is no directory and no champion in {uri}; champions there: {known}. "
            "Give --tracking-uri, or promote one: finegrain fit PHOTOS --promote"
        )
    return registry.fetch(champion, champion.version, downloads())


def _row(outcome: "Verdict | ImageError") -> list[Any]:
    if isinstance(outcome, ImageError):
        return ["", "", "", str(outcome)]
    threshold = "" if outcome.threshold is None else f"{outcome.threshold:.4f}"
    decided = "" if outcome.rejected is None else str(outcome.rejected).lower()
    return [f"{outcome.score:.4f}", threshold, decided, outcome.reason]


def _draw(path: Path, verdict: "Verdict", folder: Path) -> None:
    """The image with its map, from nothing at the threshold's half to all at twice that."""
    from finegrain.data.images import read_rgb
    from finegrain.evaluation.figures import overlay, png
    from finegrain.files import write_bytes

    assert verdict.anomaly_map is not None
    most = float(verdict.anomaly_map.max())
    edge = verdict.pixel_threshold or most
    picture = overlay(read_rgb(path), verdict.anomaly_map, edge / 2, max(most, 2 * edge))
    inside = path.resolve().relative_to(path.resolve().anchor)
    write_bytes(folder / inside.parent / f"{inside.name}.png", png(picture))


def model_option() -> Parser:
    """--model and where it is looked for."""
    parent = Parser(add_help=False)
    add = parent.add_argument_group("with what").add_argument
    add("--model", required=True, metavar="DATASET/PART|DIR",
        help="champion of a part, or a checkpoint's directory")  # fmt: skip
    add("--backbone-weights", dest="weights", metavar="PATH|TAG",
        help="of its backbone, where those do not come with the package")  # fmt: skip
    return parent


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    add = parser.add_argument
    add("images", nargs="+", type=Path, metavar="IMAGE|FOLDER")
    add("--out", type=Path, metavar="FILE", help="of the rows [the terminal]")
    add("--heatmaps", type=Path, metavar="DIR", help="a picture of each image with its map")


COMMAND = Command("score", run, [model_option(), tracking_option()], arguments)
