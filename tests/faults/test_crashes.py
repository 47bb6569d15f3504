"""Categories whose trials crash each time, in ways that no detector foresees."""

import os
from pathlib import Path

import pytest

from tests.benchmarks import check_recorded_once, driving, grid, name_of, rows
from tests.conftest import write_category
from tests.faults.conftest import METHODS

pytestmark = pytest.mark.faults
CRASHING = Path(__file__).parent / "crashing"  # its sitecustomize.py


def test_the_others_complete(tmp_path):
    for seed, name in enumerate(["plate_dies", "plate_good", "plate_raises"]):
        write_category(tmp_path / "data", name, seed)
    directory = tmp_path / "crashes"
    path = os.pathsep.join([str(CRASHING), os.environ.get("PYTHONPATH", "")])
    arguments = grid(tmp_path / "data", directory, METHODS, shots=[1])
    with driving(tmp_path / "log", *arguments, PYTHONPATH=path) as driver:
        assert driver.end() == 1
    found = rows(directory)
    by_category = {row["category"]: [r for r in found if r["category"] == row["category"]]
                   for row in found}  # fmt: skip
    assert {r["status"] for r in by_category["plate_good"]} == {"ok"}
    crashed = by_category["plate_dies"] + by_category["plate_raises"]
    assert {row["status"] for row in crashed} == {"failed"}
    text = (directory / "table.md").read_text()
    assert text in driver.output
    reasons = text.partition("Why they are missing:")[2]
    assert all(name_of(row) in reasons for row in crashed)
    raised = ", ".join(map(name_of, by_category["plate_raises"]))
    assert f"- {raised}: failed 3 times: RuntimeError: the detector is broken" in reasons
    _, children = check_recorded_once(directory)
    assert sorted(child.info.status for child in children) == ["FAILED"] * 4 + ["FINISHED"] * 2
