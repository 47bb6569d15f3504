#!/usr/bin/env python
"""What each part of FineGrainedAD is worth: one benchmark an ablation, a variant a row.

ray job submit --working-dir . -- python jobs/ablations.py components --shots 4
python jobs/ablations.py regions temperature     starts a local Ray of its own
Run again with the same --output, it goes on with what is missing.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

from finegrain.cluster.connect import Share
from finegrain.errors import InputError
from finegrain.studies.ablations import ABLATIONS, run_ablations


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("names", nargs="+", choices=sorted(ABLATIONS), metavar="NAME",
        help=", ".join(ABLATIONS))  # fmt: skip
    add("--dataset", help="[factory]")
    add("--data-root", type=Path)
    add("--categories", nargs="+", help="[all]")
    add("--shots", nargs="+", type=int, default=[4], help="[4]")
    add("--shot-selection", choices=["seeded", "published"], help="[seeded]")
    add("--views", nargs="+", metavar="VIEW", help="of realiad: C1 to C5, or all [C1]")
    add("--seeds", nargs="+", type=int, help="[0 1 2]")
    add("--clip", metavar="MODEL", dest="backbone", help="[bundled]")
    add("--clip-weights", metavar="PATH|TAG", dest="weights")
    add("--captions", type=Path, metavar="DIR")
    add("--output", type=Path, help="a folder an ablation below it [runs/ablations]")
    add("--cpus-per-trial", type=float, default=1.0, help="[1]")
    add("--gpus-per-trial", type=float, default=0.0, help="may be a fraction [0]")
    args = vars(parser.parse_args())
    names, output = args.pop("names"), args.pop("output")
    share = Share(cpus=args.pop("cpus_per_trial"), gpus=args.pop("gpus_per_trial"))
    grid = {name: value for name, value in args.items() if value is not None}
    try:
        complete = run_ablations(names, grid, output, share, partial(print, flush=True))
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())
