#!/usr/bin/env python
"""Benchmark few-shot anomaly detectors over a Ray cluster.

ray job submit jobs/full_benchmark.py
ray job submit --working-dir . -- python jobs/full_benchmark.py --methods patchcore --shots 1 4
python jobs/full_benchmark.py                    starts a local Ray of its own
"""

import argparse
import sys
from functools import partial
from pathlib import Path

from finegrain.backbones import BACKBONES
from finegrain.cluster.connect import Share
from finegrain.cluster.full import full_benchmark
from finegrain.data import DATASETS
from finegrain.detectors import DETECTORS
from finegrain.errors import InputError


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument_group("the grid, not with --resume").add_argument
    add("--dataset", help=f"{', '.join(DATASETS)} [factory]")
    add("--data-root", type=Path, help="folder of the categories [data/DATASET beside the output]")
    add("--categories", nargs="+", help="[all]")
    add("--methods", nargs="+", metavar="NAME[:VARIANT]",
        help=f"{', '.join(sorted(DETECTORS))} [all]; a variant has options of its own")  # fmt: skip
    add("--shots", nargs="+", type=int, help="[1 2 4]")
    add("--shot-list", type=Path, metavar="JSON",
        help="{category: {K: [places in sorted train/good]}} [drawn by seed]")  # fmt: skip
    add("--shot-selection", choices=["seeded", "published"],
        help="published: as in published results, mvtec, visa, realiad [seeded]")  # fmt: skip
    add("--views", nargs="+", metavar="VIEW", help="of realiad: C1 to C5, or all [C1]")
    add("--seeds", nargs="+", type=int, help="which draw the shots and all randomness [0 1 2]")
    add("--clip", metavar="MODEL", dest="backbone",
        help=f"the frozen image model: {', '.join(BACKBONES)} [bundled]")  # fmt: skip
    add("--clip-weights", metavar="PATH|TAG", dest="weights",
        help="of an open_clip model: a local file, or a tag that open_clip downloads; of a "
        "ResNet or DINOv2: a local file, or hub")  # fmt: skip
    add("--set", action="append", metavar="METHOD.OPTION=VALUE", dest="options",
        help="an option of a detector, as JSON; may be repeated")  # fmt: skip
    add("--captions", type=Path, metavar="DIR", help="of YAML files, before the bundled ones")
    add = parser.add_argument_group("where").add_argument
    add("--output", type=Path, help="folder of the benchmark [runs/full_benchmark-TIME]")
    add("--resume", metavar="NAME", help="run what is missing of runs/NAME or of the folder NAME")
    add("--tracking-uri", help="of MLflow [$MLFLOW_TRACKING_URI, else a file beside the output]")
    add = parser.add_argument_group("what each trial gets of the cluster").add_argument
    add("--cpus-per-trial", type=float, default=1.0, help="[1]")
    add("--gpus-per-trial", type=float, default=0.0, help="may be a fraction [0]")
    args = vars(parser.parse_args())

    share = {"cpus": args.pop("cpus_per_trial"), "gpus": args.pop("gpus_per_trial")}
    where = {name: args.pop(name) for name in ("output", "resume", "tracking_uri")}
    grid = {name: value for name, value in args.items() if value is not None}
    try:
        complete = full_benchmark(
            grid, share=Share(**share), tell=partial(print, flush=True), **where
        )
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())
