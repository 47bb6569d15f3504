"""Where runs, their records and their data lie unless the user says otherwise."""

import os
import time
from pathlib import Path


def runs_folder() -> Path:
    """Where benchmarks lie when no --output is given: $FINEGRAIN_RUNS, or runs/ right here.

    A job's working directory may be a copy that Ray deletes, so results never go there.
    """
    if runs := os.environ.get("FINEGRAIN_RUNS"):
        return Path(runs)
    shipped = "runtime_resources" in Path.cwd().parts
    return Path.home() / "finegrain-runs" if shipped else Path("runs")


def new_folder(kind: str, output: Path | None) -> Path:
    """Where a new run goes: as given, or named by its kind and the time below `runs_folder`."""
    return (output or runs_folder() / time.strftime(f"{kind}-%Y%m%d-%H%M%S")).resolve()


def begun_folder(name: str) -> Path:
    """The folder of that name, else the one below `runs_folder`."""
    return (Path(name) if Path(name).is_dir() else runs_folder() / name).resolve()


def tracking_uri(runs: Path | None = None) -> str:
    """MLflow's address: $MLFLOW_TRACKING_URI, or a database in the folder of runs.

    Args:
        runs: the folder that a run's own lies in; `runs_folder` where there is no single run.
    """
    folder = (runs or runs_folder()).resolve()
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder / 'mlflow.db'}"


def downloads() -> Path:
    """Where checkpoints from the registry are kept: those of the server as well."""
    return Path("~/.cache/finegrain/serving").expanduser()
