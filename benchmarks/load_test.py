#!/usr/bin/env python
"""Requests at a mean rate, whatever becomes of those before; latencies, stages and errors.

python -m benchmarks.load_test http://127.0.0.1:8000 --rate 20 --seconds 30
python -m benchmarks.load_test URL --category folder/screw --images shots/*.png
"""

import argparse
import asyncio
import sys
from pathlib import Path

from tqdm import tqdm

from benchmarks.load import LoadReport, open_loop, taken_in_turn
from finegrain.serving.client import AsyncClient, ScoringError
from finegrain.serving.examples import EXAMPLES, example_png


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("address")
    parser.add_argument("--rate", type=float, default=10, help="requests a second [10]")
    parser.add_argument("--seconds", type=float, default=30, help="[30]")
    parser.add_argument("--category", help="DATASET/CATEGORY [the factory's that are served]")
    parser.add_argument("--images", type=Path, nargs="+", help="[the factory's examples]")
    parser.add_argument("--retries", type=int, default=0, help="of a refused request [0]")
    parser.add_argument("--seed", type=int, default=0, help="of the arrivals [0]")
    args = parser.parse_args()
    if bool(args.category) != bool(args.images):
        parser.error("--category and --images go together")
    try:
        report = asyncio.run(run(args))
    except (ScoringError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(report.text())
    return 0 if set(report.outcomes) <= {"200", "429"} else 1


async def run(args: argparse.Namespace) -> LoadReport:
    async with AsyncClient(args.address, retries=args.retries) as client:
        served = (await client.categories()).categories
        examples = {
            f"factory/{c.category}": [example_png(c.category, n) for n in EXAMPLES[c.category]]
            for c in served
            if c.dataset == "factory" and c.category in EXAMPLES
        }
        if args.images:
            examples = {args.category: [path.read_bytes() for path in args.images]}
        with tqdm(total=round(args.rate * args.seconds), unit="request", leave=False) as bar:
            return await open_loop(
                client,
                taken_in_turn(examples),
                per_second=args.rate,
                seconds=args.seconds,
                seed=args.seed,
                progress=lambda _sent: bar.update(),
            )


if __name__ == "__main__":
    sys.exit(main())
