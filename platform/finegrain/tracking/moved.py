"""A local store that was moved: its database holds absolute places of the artifacts beside it."""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlparse

PLACES = (  # every column of MLflow's tables that says where artifacts lie
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "storage_location"),
)
SQLITE = "sqlite:///"


def follow_moved(uri: str) -> None:
    """Let a database in a file find its artifacts where both were moved together.

    Artifacts that are still where it says, or whose folder is not beside it, are left alone.
    """
    path = Path(uri.removeprefix(SQLITE))
    if not uri.startswith(SQLITE) or not path.is_file():
        return
    with closing(sqlite3.connect(path, timeout=30)) as database:
        for (location,) in _locations(database):
            old = Path(unquote(urlparse(location).path))
            here = path.resolve().parent / old.name
            if location.startswith("file:") and not old.exists() and here.is_dir():
                _move(database, location, here.as_uri())


def _locations(database: sqlite3.Connection) -> list[tuple[str]]:
    try:
        return database.execute("SELECT DISTINCT artifact_location FROM experiments").fetchall()
    except sqlite3.OperationalError:  # MLflow has made no tables yet
        return []


def _move(database: sqlite3.Connection, old: str, new: str) -> None:
    with database:  # all of it or nothing
        for table, column in PLACES:
            database.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                (new, len(old) + 1, old, len(old) + 1, f"{old}/"),
            )
