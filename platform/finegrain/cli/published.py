"""`finegrain published`."""

import argparse

from finegrain.cli.command import Command
from finegrain.cli.options import tracking_option


def run(args: argparse.Namespace) -> int:
    """Load the paper's published numbers into MLflow as reference runs, tagged source=published."""
    from finegrain.places import runs_folder, tracking_uri
    from finegrain.tracking import load_published

    folder = runs_folder().resolve()
    folder.mkdir(parents=True, exist_ok=True)
    uri = args.uri or tracking_uri()
    parents = load_published(uri, folder / "mlflow-artifacts")
    print("\n".join([*parents, f"\nIn {uri}; filter with tags.source = 'published'"]))
    return 0


COMMAND = Command("published", run, [tracking_option()])
