#!/usr/bin/env python
"""Make a run's checkpoint the champion that is served of its category, or take that back.

python jobs/promote.py RUN_ID ...                  runs as MLflow lists them
python jobs/promote.py --from-benchmark NAME       every category's trial of a benchmark
python jobs/promote.py --from-benchmark NAME --metric pixel_auroc
                                                   every category's best method of a benchmark
python jobs/promote.py --rollback factory/pcb      the champion before

With --metric, the method and number of shots with the highest mean over seeds is promoted in each
category, as its run with the lowest seed: to take the best seed would be to choose noise. Scores
are measured on test images: once a metric has chosen, its value for what was chosen is no longer
an unbiased estimate of how good that is, but on the whole too high. Measure on new images.
"""

import argparse
import sys
from pathlib import Path

from mlflow.exceptions import MlflowException

from finegrain.errors import InputError
from finegrain.places import default_uri
from finegrain.tracking import Registry


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="*", metavar="RUN_ID")
    parser.add_argument("--from-benchmark", metavar="NAME")
    parser.add_argument("--method", help="of that benchmark's trials")
    parser.add_argument("--shots", type=int, help="of that benchmark's trials")
    parser.add_argument("--seed", type=int, help="of that benchmark's trials")
    parser.add_argument("--metric", metavar="NAME",
        help="promote the best of that benchmark's trials by it, e.g. pixel_auroc")  # fmt: skip
    parser.add_argument("--rollback", nargs="+", metavar="DATASET/CATEGORY", default=[])
    parser.add_argument(
        "--other-backbone",
        action="store_true",
        help="also if it was fitted on another backbone than the champion",
    )
    parser.add_argument("--tracking-uri", help="[$MLFLOW_TRACKING_URI, else runs/mlflow.db]")
    args = parser.parse_args()
    if not (args.runs or args.from_benchmark or args.rollback):
        parser.error("give RUN_ID, --from-benchmark NAME or --rollback DATASET/CATEGORY")
    if args.metric and not args.from_benchmark:
        parser.error("--metric chooses among the trials of --from-benchmark NAME")
    uri = args.tracking_uri or default_uri(Path("runs/promote"))
    try:
        registry = Registry(uri)
        runs = list(args.runs)
        wanted = {"method": args.method, "shots": args.shots, "seed": args.seed}
        if args.metric:
            best = registry.best_runs(args.from_benchmark, args.metric, **wanted)
            for key, one in best.items():
                print(f"{key}: {one.method} {one.shots}-shot, mean {args.metric} {one.mean:.1f}"
                      f" over {one.seeds} seeds; the run of seed {one.seed}")  # fmt: skip
            runs += [one.run_id for one in best.values()]
        elif args.from_benchmark:
            runs += registry.benchmark_runs(args.from_benchmark, **wanted).values()
        moved = [registry.rollback(*key.split("/", 1)) for key in args.rollback]
        moved += [registry.promote(run, other_backbone=args.other_backbone) for run in runs]
    except (InputError, MlflowException) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for champion in moved:
        print(f"{champion.key}: champion is version {champion.version}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
