#!/usr/bin/env python
"""Search a method's options over a Ray cluster without looking at a test image.

python jobs/search.py --method finegrained --categories gear pcb --samples 30 --confirm-seeds 1 2
python jobs/search.py --resume NAME

Settings are scored by defects painted onto changed copies of the shots; --study measures the test
score beside, and reports how well the one ranks settings as the other does.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

from finegrain.backbones import BACKBONES
from finegrain.cluster.connect import Share
from finegrain.data import DATASETS
from finegrain.errors import InputError
from finegrain.studies.search.job import begun_searches, run_search, start_searches

SPACES = Path(__file__).resolve().parents[1] / "tune_spaces" / "spaces.py"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument_group("what is searched, not with --resume").add_argument
    add("--method", help="of which detector")
    add("--space", help="a function of tune_spaces/spaces.py, or FILE.py:FUNCTION [the method's]")
    add("--samples", type=int, help="settings [30]")
    add("--searcher", choices=["random", "optuna"], help="[optuna]")
    add("--scheduler", choices=["asha", "none"], help="asha stops poor settings early [asha]")
    add("--metric", help="what is to be high, of the objective [pixel_auroc]")
    add("--objective", choices=["validation", "test"], help="test leaks, for study [validation]")
    add("--study", action="store_true", default=None, help="measure the test score as well")
    add("--per-category", action="store_true", help="a search each, instead of one for all")
    add = parser.add_argument_group("on what, not with --resume").add_argument
    add("--dataset", help=f"{', '.join(DATASETS)} [factory]")
    add("--data-root", type=Path, help="folder of the categories [data/DATASET beside the output]")
    add("--categories", nargs="+", help="[all]")
    add("--shots", type=int, help="[4]")
    add("--seed", type=int, help="draws the shots and all randomness [0]")
    add("--clip", metavar="MODEL", dest="backbone", help=f"{', '.join(BACKBONES)} [bundled]")
    add("--clip-weights", metavar="PATH|TAG", dest="weights", help="as for full_benchmark.py")
    add("--set", action="append", metavar="METHOD.OPTION=VALUE", dest="options",
        help="what all settings share, as JSON; may be repeated")  # fmt: skip
    add("--captions", type=Path, metavar="DIR", help="of YAML files, before the bundled ones")
    add = parser.add_argument_group("where and how").add_argument
    add("--output", type=Path, help="folder of the search [runs/search-TIME]")
    add("--resume", metavar="NAME", help="run what is missing of runs/NAME or of the folder NAME")
    add("--confirm-seeds", nargs="+", type=int, default=[], metavar="SEED",
        help="put the best setting beside the default on shots that these draw")  # fmt: skip
    add("--tracking-uri", help="of MLflow [$MLFLOW_TRACKING_URI, else a file beside the output]")
    add("--cpus-per-trial", type=float, default=1.0, help="[1]")
    add("--gpus-per-trial", type=float, default=0.0, help="may be a fraction [0]")
    args = vars(parser.parse_args())

    share = {"cpus": args.pop("cpus_per_trial"), "gpus": args.pop("gpus_per_trial")}
    seeds, uri = args.pop("confirm_seeds"), args.pop("tracking_uri")
    resume, output, parted = args.pop("resume"), args.pop("output"), args.pop("per_category")
    given = {name: value for name, value in args.items() if value is not None}
    if resume and (given or output or parted):
        parser.error("--resume takes what the search began with; leave out the rest")
    if not resume and "method" not in given:
        parser.error("give --method, or --resume")
    try:
        if resume:
            directories = begun_searches(resume)
        else:
            method = given.pop("method")
            space = given.pop("space", method.partition(":")[0])
            names = ("samples", "searcher", "scheduler", "metric", "objective", "study")
            chosen = {name: given.pop(name) for name in names if name in given}
            chosen |= {"space": space if ":" in space else f"{SPACES}:{space}"}
            grid = given | {"methods": [method], "shots": [given.get("shots", 4)]}
            grid["seeds"] = [grid.pop("seed", 0)]
            directories = start_searches(grid, chosen, per_category=parted, output=output)
        complete = [
            run_search(
                directory,
                Share(**share),
                partial(print, flush=True),
                confirm_seeds=seeds,
                tracking_uri=uri,
            )
            for directory in directories
        ]
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0 if all(complete) else 1


if __name__ == "__main__":
    sys.exit(main())
