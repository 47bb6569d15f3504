#!/usr/bin/env python
"""Look at every image and mask of a data set before a night's run.

python jobs/check_data.py --dataset mvtec --data-root /data/mvtec
Tells what is there, what is missing, unreadable or empty, and which shots are nearly another image.
Ends with 1 if something is wrong.
"""

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from finegrain.data import DATASETS
from finegrain.data.checkup import Checkup
from finegrain.errors import InputError


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--dataset", required=True, help=", ".join(DATASETS))
    add("--data-root", type=Path, required=True, help="folder of the categories")
    add("--categories", nargs="+", help="[all]")
    add("--views", nargs="+", default=(), metavar="VIEW", help="of realiad: C1 to C5, or all [C1]")
    add("--shots", nargs="+", type=int, default=[1, 2, 4], help="[1 2 4]")
    add("--seeds", nargs="+", type=int, default=[0, 1, 2], help="[0 1 2]")
    add("--shot-selection", choices=["seeded", "published"], default="seeded", help="[seeded]")
    args = parser.parse_args()
    try:
        with tqdm(unit="image", leave=False) as bar:

            def show(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            found = Checkup(
                args.dataset, args.data_root.resolve(), categories=args.categories,
                views=args.views, shots=args.shots, seeds=args.seeds,
                published=args.shot_selection == "published", progress=show,
            ).run()  # fmt: skip
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(found.text())
    return 1 if found.problems else 0


if __name__ == "__main__":
    sys.exit(main())
