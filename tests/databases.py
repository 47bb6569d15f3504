"""Empty MLflow databases: MLflow takes seconds to make its tables, a copy takes none."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from finegrain.tracking.runs import open_client

NAME = "mlflow.db"


def new_database(folder: Path) -> str:
    """The URI of an empty database in the folder, where a benchmark beside it looks for one."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NAME).write_bytes(_empty())
    return f"sqlite:///{folder / NAME}"


@cache
def _empty() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / NAME
        open_client(f"sqlite:///{path}").search_registered_models(max_results=1)
        return path.read_bytes()
