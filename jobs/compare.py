#!/usr/bin/env python
"""Compare the methods of recorded benchmarks: paired differences, how sure they are, what it costs.

python jobs/compare.py full_benchmark-20260101-120000                    its methods
python jobs/compare.py cheap promptad --reference patchcore --shots 4    pooled
python jobs/compare.py RUN_ID RUN_ID                                     single trials
Methods of the same name with other options or another backbone are named apart, as
"METHOD [BENCHMARK]" or "METHOD BACKBONE", which is what --reference and --methods take then.
"""

import argparse
import sys
from pathlib import Path

from mlflow.exceptions import MlflowException

from finegrain.errors import InputError
from finegrain.evaluation.compare import METRICS, RESAMPLES
from finegrain.places import default_uri
from finegrain.studies.compare.run import compare_recorded


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", metavar="RUN_OR_BENCHMARK",
        help="a benchmark's name or run id, or a trial's run id")  # fmt: skip
    parser.add_argument("--reference", metavar="METHOD",
        help="that others are compared with [of the first run, by name]")  # fmt: skip
    parser.add_argument("--methods", nargs="+", default=[], metavar="METHOD",
        help="compared with it [all]")  # fmt: skip
    parser.add_argument("--metric", nargs="+", default=METRICS, help=f"[{' '.join(METRICS)}]")
    parser.add_argument("--shots", nargs="+", type=int, default=[], help="[all]")
    parser.add_argument("--published", action="store_true",
        help="with the paper's numbers for that data set, marked †, without pairs")  # fmt: skip
    parser.add_argument("--resamples", type=int, default=RESAMPLES,
        help=f"of the bootstrap [{RESAMPLES}]")  # fmt: skip
    parser.add_argument("--output", type=Path, metavar="DIR", help="[runs/compare-TIME]")
    parser.add_argument("--tracking-uri", help="[$MLFLOW_TRACKING_URI, else runs/mlflow.db]")
    args = parser.parse_args()
    uri = args.tracking_uri or default_uri(Path("runs/compare"))
    try:
        text, folder = compare_recorded(
            args.runs,
            uri=uri,
            reference=args.reference,
            metrics=args.metric,
            methods=args.methods,
            shots=args.shots,
            published=args.published,
            resamples=args.resamples,
            output=args.output,
        )
    except (InputError, MlflowException) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{text}\n\ncomparison.md, .csv and .png: {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
