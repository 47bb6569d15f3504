"""MLflow's database and artifacts in one folder, and back.

    FOLDER/TIME/database        pg_dump's custom format, or a copy of the SQLite file
    FOLDER/TIME/artifacts.tar   everything below MLflow's --artifacts-destination
    FOLDER/TIME/backup.json     sizes and SHA-256 of both

The database is taken first: an artifact lies there before anything in the database names it, so
whatever the backup's database names is in its archive, though others record meanwhile.
"""

import hashlib
import json
import shutil
import sqlite3
import subprocess
import tarfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from finegrain.errors import ConfigError, InputError
from finegrain.files import new_directory, write_json

DATABASE, ARTIFACTS, ABOUT = "database", "artifacts.tar", "backup.json"
SQLITE, POSTGRES = "sqlite:///", "postgresql://"


def back_up(database: str, artifacts: Path, folder: Path, keep: int | None = None) -> Path:
    """A whole new backup below the folder, or an error and none.

    Args:
        database: MLflow's --backend-store-uri: sqlite:///FILE or postgresql://...; the password is
            in PGPASSFILE.
        artifacts: MLflow's --artifacts-destination.
        folder: of backups.
        keep: so many of the newest; None for all.

    Raises:
        InputError: what is wrong with the place or the database.
    """
    if not artifacts.is_dir():
        raise ConfigError(f"{artifacts} is not a folder; give MLflow's --artifacts-destination")
    target = folder / time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    if target.exists():
        raise ConfigError(f"{target} was made this second; try again")
    with new_directory(target) as scratch:
        _dump(database, scratch / DATABASE)
        with tarfile.open(scratch / ARTIFACTS, "w") as archive:
            archive.add(artifacts, arcname=".")
        about = {name: _facts(scratch / name) for name in (DATABASE, ARTIFACTS)}
        write_json(scratch / ABOUT, {"kind": _kind(database), **about})
    for old in sorted(folder.glob(f"*/{ABOUT}"))[: -keep if keep else 0]:
        shutil.rmtree(old.parent)
    return target


def restore(backup: Path, database: str, artifacts: Path) -> None:
    """Bring a backup back into an empty database and an empty folder.

    Raises:
        InputError: the backup is damaged or of another kind of database, or something lies there.
    """
    about = _checked(backup)
    if about["kind"] != _kind(database):
        raise ConfigError(f"{backup} is of {about['kind']}; it can't be restored into {database}")
    if artifacts.is_dir() and any(artifacts.iterdir()):
        raise ConfigError(f"{artifacts} is not empty; restore into an empty folder")
    if _kind(database) == SQLITE:
        _restore_sqlite(backup / DATABASE, Path(database.removeprefix(SQLITE)))
    else:
        if _run("psql", "-At", "-d", database, "-c", "select 1 from pg_tables where "
                "schemaname = 'public' limit 1").strip():  # fmt: skip
            raise ConfigError(f"the database at {database} is not empty; restore into a new one")
        options = ("--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges")
        _run("pg_restore", *options, "-d", database, str(backup / DATABASE))
    artifacts.mkdir(parents=True, exist_ok=True)
    with tarfile.open(backup / ARTIFACTS) as archive:
        archive.extractall(artifacts, filter="data")


def _kind(database: str) -> str:
    for kind in (SQLITE, POSTGRES):
        if database.startswith(kind):
            return kind
    raise ConfigError(f"{database} is none of {SQLITE}FILE and {POSTGRES}...")


def _dump(database: str, target: Path) -> None:
    if _kind(database) == POSTGRES:
        _run("pg_dump", "--format=custom", "--file", str(target), "-d", database)
        return
    source = Path(database.removeprefix(SQLITE))
    if not source.is_file():
        raise ConfigError(f"there is no database {source}")
    with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(target)) as copy:
        live.backup(copy)


def _restore_sqlite(source: Path, target: Path) -> None:
    if target.exists():
        raise ConfigError(f"{target} is there; restore into a new file")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _run(program: str, *arguments: str) -> str:
    """What a program of PostgreSQL's answers."""
    try:
        done = subprocess.run([program, *arguments], capture_output=True, text=True)
    except FileNotFoundError as error:
        raise ConfigError(f"{program} is missing; install PostgreSQL's client programs") from error
    if done.returncode:
        raise InputError(f"{program} failed: {done.stderr.strip()}")
    return done.stdout


def _facts(path: Path) -> dict[str, Any]:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def _checked(backup: Path) -> dict[str, Any]:
    """What backup.json says, once both files are as it says."""
    try:
        about: dict[str, Any] = json.loads((backup / ABOUT).read_bytes())
        broken = [n for n in (DATABASE, ARTIFACTS) if _facts(backup / n) != about[n]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{backup} is no whole backup: {error}") from error
    if broken:
        raise InputError(f"{backup} is damaged: {', '.join(broken)} is not what was backed up")
    return about
