#!/usr/bin/env python
"""A table or figure of the paper: run what it needs, write it beside what is published.

python jobs/paper_tables.py --table 1 --dry-run
python jobs/paper_tables.py --table 1 --data-root mvtec=/data/mvtec visa=/data/visa \\
    --clip-weights ViT-B-16-plus-240=laion400m_e31 --gpus-per-trial 0.25
python jobs/paper_tables.py --table 4 --datasets factory --clip bundled      offline
Run again with the same --output, it goes on with what is missing.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

from finegrain.cluster.connect import Share
from finegrain.errors import InputError
from finegrain.studies.paper.inputs import Inputs, pairs
from finegrain.studies.paper.run import make_exhibit


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--table", type=int, choices=range(1, 7))
    which.add_argument("--figure", type=int, choices=range(5, 8))
    add = parser.add_argument_group("on what").add_argument
    add("--datasets", "--dataset", nargs="+", default=[], metavar="NAME", help="[the paper's]")
    add("--data-root", nargs="+", default=[], metavar="DATASET=PATH", help="of the categories")
    add("--clip", metavar="MODEL", help="one backbone for all methods [the paper's of each]")
    add("--clip-weights", nargs="+", default=[], metavar="MODEL=FILE|TAG",
        help="of open_clip models")  # fmt: skip
    add("--categories", nargs="+", default=[], help="of any of the data sets [all]")
    add("--seeds", nargs="+", type=int, default=[0, 1, 2], help="[0 1 2]")
    add("--shot-selection", help="how shots are chosen, see jobs/full_benchmark.py")
    add("--captions", type=Path, metavar="DIR", help="of YAML files, before the bundled ones")
    add = parser.add_argument_group("where").add_argument
    add("--output", type=Path, help="shared by all tables and figures [runs/paper]")
    add("--tracking-uri", help="of MLflow [$MLFLOW_TRACKING_URI, else a file in the output]")
    add("--dry-run", action="store_true", help="tell the trials and how long they would take")
    add("--timings", nargs="+", type=Path, default=[], metavar="DIR",
        help="recorded benchmarks that a dry run takes seconds from")  # fmt: skip
    add = parser.add_argument_group("what each trial gets of the cluster").add_argument
    add("--cpus-per-trial", type=float, default=1.0, help="[1]")
    add("--gpus-per-trial", type=float, default=0.0, help="may be a fraction [0]")
    args = parser.parse_args()
    name = f"table-{args.table}" if args.table else f"figure-{args.figure}"
    more = {"shot_selection": args.shot_selection, "captions": args.captions}
    try:
        roots = pairs(args.data_root, "--data-root")
        inputs = Inputs(
            datasets=tuple(args.datasets),
            roots={dataset: Path(root) for dataset, root in roots.items()},
            clip=args.clip,
            weights=pairs(args.clip_weights, "--clip-weights"),
            categories=tuple(args.categories),
            seeds=tuple(args.seeds),
            more={key: value for key, value in more.items() if value is not None},
        )
        complete = make_exhibit(
            name,
            inputs,
            output=args.output,
            share=Share(cpus=args.cpus_per_trial, gpus=args.gpus_per_trial),
            tracking_uri=args.tracking_uri,
            dry=args.dry_run,
            timings=args.timings,
            tell=partial(print, flush=True),
        )
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())
