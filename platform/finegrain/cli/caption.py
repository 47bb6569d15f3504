"""`finegrain caption`."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from finegrain.benchmark.grid import Grid
from finegrain.cli.command import Command, tell
from finegrain.cli.options import given, grid_options, output_option
from finegrain.errors import ConfigError

if TYPE_CHECKING:
    from finegrain.captions.llm import Built, Order


def run(args: argparse.Namespace) -> int:
    """Caption parts from good photos, with a multimodal model or without; or check captions.

    OPENAI_API_KEY=... finegrain caption --endpoint http://127.0.0.1:8000/v1 --model NAME \\
        --dataset mvtec --data-root PATH --output captions/
    finegrain caption --from-photos PHOTOS         no model is asked: what colours, shapes and the
                                                   bundled CLIP are sure of, and nothing else
    finegrain caption --check captions/            files or folders, written by hand for example
    finegrain benchmark --captions captions/       uses them
    The same command again builds only what is missing.
    """
    if args.check:
        return check(args.check)
    return from_photos(args) if args.from_photos else build(args)


def check(paths: Sequence[Path]) -> int:
    """Say of each caption file whether it holds."""
    from finegrain.captions.store import caption_files, read_caption

    files = [file for path in paths for file in (caption_files(path) if path.is_dir() else [path])]
    if not files:
        raise ConfigError(f"no .yaml, .yml or .json file in {', '.join(map(str, paths))}")
    wrong = 0
    for file in files:
        try:
            print(f"ok     {file}: {read_caption(file).key}")
        except ConfigError as error:
            wrong += 1
            print(f"wrong  {error}")
    return 1 if wrong else 0


def build(args: argparse.Namespace) -> int:
    """Ask the model for each caption that is missing, and write a report."""
    if not args.endpoint or not args.model:
        raise ConfigError("building needs --endpoint (or OPENAI_BASE_URL) and --model")
    from finegrain.captions.chat import CallBudget, Chat, Endpoint
    from finegrain.captions.llm import build_captions
    from finegrain.files import write_text
    from finegrain.places import runs_folder

    orders = _orders(Grid(**given(args, Grid)))
    key = os.environ.get(args.key_variable)
    endpoint = Endpoint(args.endpoint, args.model, key, args.timeout, args.tries)
    folder = args.output or runs_folder() / "captions"
    budget = CallBudget(args.budget)
    chat = Chat(endpoint, budget)
    try:
        built = build_captions(orders, folder, chat, concurrency=args.concurrency, tell=_line)
    finally:
        chat.close()
    write_text(folder / "report.md", report(built, f"{budget.made} of {budget.calls} calls."))
    print(f"{budget.made} calls; {folder / 'report.md'}")
    return 1 if any(one.status == "failed" for one in built) else 0


def from_photos(args: argparse.Namespace) -> int:
    """A caption for each part of a folder, from the photos that `finegrain fit` would take."""
    from finegrain.backbones import FrozenClip, check_backbone, load_backbone
    from finegrain.captions.from_photos import caption_from_photos
    from finegrain.captions.store import write_caption
    from finegrain.cluster.parts import find_parts
    from finegrain.data import load_category
    from finegrain.data.images import read_rgb
    from finegrain.data.shots import file_sha256, select_shots
    from finegrain.evaluation.figures import png
    from finegrain.evaluation.regions import sentence_sheet
    from finegrain.files import write_bytes
    from finegrain.places import runs_folder

    grid = Grid(**given(args, Grid))
    check_backbone(grid.backbone, grid.weights, reads_text=True)
    root, parts = find_parts(args.from_photos, grid.good)
    clip = load_backbone(grid.backbone, weights=grid.weights)
    assert isinstance(clip, FrozenClip)  # as was checked
    folder = args.output or runs_folder() / "captions"
    for name in grid.categories or parts:
        path = folder / f"folder-{name}.yaml"
        if path.exists():
            print(f"{name}: kept {path}, which may be edited; delete it for a new one")
            continue
        category = load_category("folder", root, name, good=grid.good)
        paths = select_shots(category, min(args.most, len(category.train)), args.seed)
        shots = [read_rgb(path) for path in paths]
        found = caption_from_photos("folder", name, shots, clip, [file_sha256(p) for p in paths])
        write_caption(path, found.caption)
        sentences = [component.caption for component in found.caption.components]
        sheet = sentence_sheet(shots, found.regions.labels, sentences, found.caption.key)
        write_bytes(path.with_suffix(".png"), png(sheet))
        print(f"{name}: {found.caption.summary}")
    print(f"Captions to edit, and pictures of what was seen: {folder}")
    return 0


def _orders(grid: Grid) -> "list[Order]":
    """One for each category, with its first normal image."""
    from finegrain.captions.llm import Order
    from finegrain.data import load_category, prepare_dataset
    from finegrain.places import runs_folder

    root = grid.data_root or runs_folder() / "data" / grid.dataset
    names = prepare_dataset(grid.dataset, root, grid.categories, good=grid.good)
    return [
        Order(grid.dataset, name, load_category(grid.dataset, root, name, good=grid.good).train[0])
        for name in names
    ]


def _line(built: "Built") -> None:
    tell(f"{built.status:7}{built.key}  {built.why}".rstrip())


def report(built: "Sequence[Built]", calls: str) -> str:
    """What came of each caption, as Markdown."""
    rows = [f"| {b.key} | {b.status} | {b.questions} | {b.why[:300]} |" for b in built]
    head = ["| caption | status | questions | why |", "|---|---|---:|---|"]
    return "\n".join([calls, "", *head, *rows, ""])


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    add = parser.add_argument
    add("--from-photos", type=Path, metavar="PHOTOS",
        help="one part or a folder of parts, as for `finegrain fit`")  # fmt: skip
    add("--most", type=int, default=8, metavar="K", help="photos of a part [8]")
    add("--seed", type=int, default=0, help="draws the photos [0]")
    add("--check", nargs="+", type=Path, metavar="PATH", help="only say whether these hold")
    add = parser.add_argument_group("the model that is asked").add_argument
    add("--endpoint", metavar="URL", default=os.environ.get("OPENAI_BASE_URL"),
        help="an OpenAI-compatible API, ending in /v1 or alike [$OPENAI_BASE_URL]")  # fmt: skip
    add("--model", help="as the endpoint names it; it must see images")
    add("--key-variable", default="OPENAI_API_KEY", metavar="NAME",
        help="environment variable with the key, if one is needed [%(default)s]")  # fmt: skip
    add("--timeout", type=float, default=120, help="seconds for one answer [%(default)s]")
    add("--tries", type=int, default=5, help="of one question [%(default)s]")
    add("--budget", type=int, default=500, help="calls at most, retries included [%(default)s]")
    add("--concurrency", type=int, default=4, help="questions in flight [%(default)s]")


COMMAND = Command(
    "caption",
    run,
    [
        grid_options("dataset", "data_root", "categories", "good", "backbone", "weights"),
        output_option("folder of the captions [runs/captions]"),
    ],
    arguments,
)
