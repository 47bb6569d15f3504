"""`finegrain backup` and `finegrain restore`."""

import argparse
from pathlib import Path

from finegrain.cli.command import Command, tell


def back_up(args: argparse.Namespace) -> int:
    """Back up MLflow's database and artifacts while it runs.

    finegrain backup sqlite:////abs/runs/mlflow.db runs/mlflow-artifacts backups --keep 14
    finegrain backup postgresql://mlflow@postgres/mlflow /artifacts /backups
    """
    from finegrain.tracking.backup import back_up

    tell(f"{back_up(args.database, args.artifacts, args.folder, args.keep)}")
    return 0


def restore(args: argparse.Namespace) -> int:
    """Bring a backup back, into an empty database and an empty folder of artifacts.

    finegrain restore backups/TIME sqlite:////abs/new/mlflow.db new/mlflow-artifacts
    """
    from finegrain.tracking.backup import restore

    restore(args.backup, args.database, args.artifacts)
    tell(f"{args.backup} is back in {args.database} and {args.artifacts}")
    return 0


def _places(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("database", metavar="DATABASE", help="MLflow's --backend-store-uri")
    add("artifacts", type=Path, metavar="ARTIFACTS", help="MLflow's --artifacts-destination")


def back_up_arguments(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    _places(parser)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="of backups")
    parser.add_argument(
        "--keep", type=int, metavar="N", help="remove all but the newest N [keep all]"
    )


def restore_arguments(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    parser.add_argument("backup", type=Path, metavar="BACKUP", help="a folder that backup made")
    _places(parser)


BACKUP = Command("backup", back_up, [], back_up_arguments)
RESTORE = Command("restore", restore, [], restore_arguments)
