#!/usr/bin/env python
"""Make a run's checkpoint the champion that is served of its category, or take that back.

python jobs/promote.py RUN_ID ...                  runs as MLflow lists them
python jobs/promote.py --from-benchmark NAME       every category's trial of a benchmark
python jobs/promote.py --rollback factory/pcb      the champion before
"""

import argparse
import os
import sys

from mlflow.exceptions import MlflowException

from finegrain.errors import InputError
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
    uri = args.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///runs/mlflow.db"
    try:
        registry = Registry(uri)
        runs = list(args.runs)
        if args.from_benchmark:
            chosen = registry.benchmark_runs(
                args.from_benchmark, method=args.method, shots=args.shots, seed=args.seed
            )
            runs += chosen.values()
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
