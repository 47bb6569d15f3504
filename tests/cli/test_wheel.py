"""The wheel is enough: its files alone, in an empty folder, run a benchmark."""

import csv
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("platform", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy, without network and without another environment."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(ROOT / name, folder / "source" / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, folder / "source" / name)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    command += ["--no-index", "--quiet", "--wheel-dir", str(folder), str(folder / "source")]
    made = subprocess.run(command, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    [path] = folder.glob("finegrain-*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel):
    """A folder with what the wheel holds, as site-packages would have it."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(wheel.parent / "site")
    return wheel.parent / "site"


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    return tmp_path_factory.mktemp("empty")


def run(installed, folder, *arguments):
    variables = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    variables |= {key: value for key, value in os.environ.items() if key.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=variables | {"PYTHONPATH": str(installed)},
        capture_output=True, text=True, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_holds_every_file_of_the_package(wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
        [entries] = [archive.read(name).decode() for name in held if name.endswith("points.txt")]
    files = {
        path.relative_to(ROOT / "platform").as_posix()
        for path in (ROOT / "platform" / "finegrain").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {Path(name).suffix for name in files} >= {".safetensors", ".json", ".html", ".js"}
    assert files - held == set()
    assert "finegrain = finegrain.cli.main:main" in entries


def test_a_benchmark_and_a_search_begin_in_an_empty_folder(installed, empty):
    wish = "benchmark --dataset factory --categories gasket --methods padim --shots 1 --seeds 0"
    code = f"""
import contextlib, runpy, sys
sys.argv = "finegrain {wish}".split()
with contextlib.suppress(SystemExit):
    runpy.run_module("finegrain.cli", run_name="__main__", alter_sys=True)
from finegrain.benchmark.grid import Grid
from finegrain.studies.search.choice import SearchChoice
from finegrain.studies.search.job import start_searches
grid = Grid(categories=("gasket",), methods=("padim",), shots=(1,), seeds=(0,))
print(*start_searches(grid, SearchChoice(), per_category=False, output=None))
"""
    said = run(installed, empty, "-c", code)  # one process for both: each imports for seconds
    assert "1 trials, 0 of them done before" in said
    [folder] = (empty / "runs").glob("full_benchmark-*")
    with (folder / "results.csv").open() as stream:
        [row] = csv.DictReader(stream)
    assert (row["category"], row["status"]) == ("gasket", "ok")
    assert float(row["pixel_auroc"]) > 50
    assert (empty / "runs" / "mlflow.db").is_file()
    [result] = folder.glob("trials/*/result.json")
    source = json.loads(result.read_text())["environment"]["source"]
    assert Path(source) == installed / "finegrain"
    search = Path(said.strip().splitlines()[-1])
    stored = json.loads((search / "search.json").read_text())
    assert stored["space"] == f"{installed}/finegrain/studies/search/spaces.py:padim"
    assert "dimensions" in stored["domains"]
