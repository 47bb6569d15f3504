#!/usr/bin/env python
"""Caption the categories of a data set with a multimodal model, or check captions written by hand.

OPENAI_API_KEY=... python jobs/build_captions.py --endpoint http://127.0.0.1:8000/v1 --model NAME \\
    --dataset mvtec --data-root PATH --output captions/
python jobs/build_captions.py --check captions/            files or folders
python jobs/full_benchmark.py --captions captions/         uses them
The same command again builds only what is missing.
"""

import argparse
import os
import sys
from pathlib import Path

from finegrain.captions.chat import CallBudget, Chat, Endpoint
from finegrain.captions.llm import Built, Order, build_captions
from finegrain.captions.store import caption_files, read_caption
from finegrain.data import DATASETS, load_category, prepare_dataset
from finegrain.errors import ConfigError, InputError
from finegrain.files import write_text
from finegrain.places import runs_folder


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--check", nargs="+", type=Path, metavar="PATH", help="only say whether these hold")
    add("--dataset", default="factory", help=f"{', '.join(DATASETS)} [factory]")
    add("--data-root", type=Path, help="folder of the categories [runs/data/DATASET]")
    add("--categories", nargs="+", help="[all]")
    add("--output", type=Path, help="folder of the captions [runs/captions]")
    add("--endpoint", metavar="URL", default=os.environ.get("OPENAI_BASE_URL"),
        help="an OpenAI-compatible API, ending in /v1 or alike [$OPENAI_BASE_URL]")  # fmt: skip
    add("--model", help="as the endpoint names it; it must see images")
    add("--key-variable", default="OPENAI_API_KEY", metavar="NAME",
        help="environment variable with the key, if one is needed [%(default)s]")  # fmt: skip
    add("--timeout", type=float, default=120, help="seconds for one answer [120]")
    add("--tries", type=int, default=5, help="of one question [5]")
    add("--budget", type=int, default=500, help="calls at most, retries included [500]")
    add("--concurrency", type=int, default=4, help="questions in flight [4]")
    args = parser.parse_args()
    try:
        return check(args.check) if args.check else build(args)
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def check(paths: list[Path]) -> int:
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
    if not args.endpoint or not args.model:
        raise ConfigError("building needs --endpoint (or OPENAI_BASE_URL) and --model")
    root = args.data_root or runs_folder() / "data" / args.dataset
    names = prepare_dataset(args.dataset, root, args.categories)
    orders = [
        Order(args.dataset, name, load_category(args.dataset, root, name).train[0])
        for name in names
    ]
    key = os.environ.get(args.key_variable)
    endpoint = Endpoint(args.endpoint, args.model, key, args.timeout, args.tries)
    folder = args.output or runs_folder() / "captions"
    budget = CallBudget(args.budget)
    chat = Chat(endpoint, budget)
    try:
        built = build_captions(orders, folder, chat, concurrency=args.concurrency, tell=_line)
    finally:
        chat.close()
    write_text(folder / "report.md", report(built, budget))
    print(f"{budget.made} calls; {folder / 'report.md'}")
    return 1 if any(one.status == "failed" for one in built) else 0


def _line(built: Built) -> None:
    print(f"{built.status:7}{built.key}  {built.why}".rstrip(), flush=True)


def report(built: list[Built], budget: CallBudget) -> str:
    rows = [f"| {b.key} | {b.status} | {b.questions} | {b.why[:300]} |" for b in built]
    head = ["| caption | status | questions | why |", "|---|---|---:|---|"]
    return "\n".join([f"{budget.made} of {budget.calls} calls.", "", *head, *rows, ""])


if __name__ == "__main__":
    sys.exit(main())
