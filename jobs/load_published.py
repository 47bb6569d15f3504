#!/usr/bin/env python
"""Load the paper's published numbers into MLflow as reference runs, tagged source=published."""

import argparse
import sys
from pathlib import Path

from mlflow.exceptions import MlflowException

from finegrain.errors import InputError
from finegrain.places import default_uri, runs_folder
from finegrain.tracking import load_published


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tracking-uri", help="[$MLFLOW_TRACKING_URI, else runs/mlflow.db]")
    args = parser.parse_args()
    folder: Path = runs_folder().resolve()
    folder.mkdir(parents=True, exist_ok=True)
    uri = args.tracking_uri or default_uri(folder / "published")
    try:
        parents = load_published(uri, folder / "mlflow-artifacts")
    except (InputError, MlflowException) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("\n".join([*parents, f"\nIn {uri}; filter with tags.source = 'published'"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
