"""What a self-check came to, as a table and as a page that needs no other file."""

import base64
import re

import pytest
import torch

from finegrain.benchmark.checks import checked_parts, checks_text
from finegrain.benchmark.grid import Grid
from finegrain.benchmark.plan import plan, read_result, resolve
from finegrain.benchmark.report import write_report
from finegrain.benchmark.trial import SELF_CHECK, Worker
from tests.conftest import write_category


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    directory = tmp_path_factory.mktemp("checked")
    plates = write_category(directory / "data", "plate_a", seed=1)
    grid = Grid(dataset="folder", data_root=plates, methods=("spade",), shots=(1, 2), seeds=(0,),
                categories=("plate_a",), self_check=True)  # fmt: skip
    benchmark = resolve(grid, beside=directory)
    trials = plan(benchmark)
    before = torch.get_num_threads()
    worker = Worker("cpu", threads=1)
    results = {trial.name: worker.run(trial, directory / trial.name) for trial in trials}
    torch.set_num_threads(before)
    return benchmark, trials, results, directory


def test_a_check_is_stored_with_its_trial(checked):
    _, trials, results, directory = checked
    for trial in trials:
        kept = read_result(directory / trial.name / "result.json", trial)
        assert kept == results[trial.name]
        assert kept.self_check.photos == trial.shots


def test_the_report_shows_doubtful_parts_first_and_brings_its_pictures(checked):
    benchmark, trials, results, directory = checked
    order = checked_parts(trials, results)
    assert order[0][1].separation <= order[1][1].separation
    text = write_report(benchmark, trials, results, directory)
    assert checks_text(order) in text
    assert "plate_a: add 3 photos: only one" in text
    assert checks_text(order) in (directory / "self_check.md").read_text()
    page = (directory / "self_check.html").read_text()
    pictures = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    stored = [(directory / result.trial.name / SELF_CHECK).read_bytes() for result, _ in order]
    assert [base64.b64decode(picture) for picture in pictures] == stored
    assert "http" not in page
