"""Published shots and views, from the grid to the result."""

import hashlib
import json
from importlib.metadata import version

import pytest
import torch

from finegrain.benchmark.grid import Grid
from finegrain.benchmark.plan import plan, resolve
from finegrain.benchmark.report import write_report
from finegrain.benchmark.trial import Worker
from finegrain.data.published import published
from finegrain.errors import ConfigError
from tests.data.trees import empty, picture, realiad_image, write_realiad, write_split

NAME = "toy_brick"
GRID = {"methods": ["padim"], "seeds": [0, 1]}


@pytest.fixture
def realiad(tmp_path):
    """toy_brick with its published shots, one of which is a test image."""
    root = write_realiad(tmp_path / "realiad", NAME)
    shots = [str(shot) for shot in dict.fromkeys(published()["realiad"][NAME][4])]
    for index, shot in enumerate(shots):
        picture(root / NAME / "OK" / shot, 200 + index)
    train = [realiad_image(NAME, 1, "C1"), *(f"OK/{shot}" for shot in shots[:2])]
    bad = realiad_image(NAME, 1, "C1", "QS")
    test = [realiad_image(NAME, 2, "C1"), f"OK/{shots[2]}", bad]
    write_split(root / "realiad_jsons_sv" / f"{NAME}.json", NAME, train, test)
    return root


def benchmark(root, **changes):
    given = {"dataset": "realiad", "data_root": root, "categories": [NAME], "shots": [2, 4]}
    return resolve(Grid(**GRID | given | changes), beside=root)


def test_published_shots_do_not_follow_the_seed(realiad):
    grid = benchmark(realiad, shot_selection="published")
    trials = plan(grid)
    assert [(t.shots, t.seed, len(t.shot_indices)) for t in trials] == [
        (2, 0, 2),
        (2, 1, 2),
        (4, 0, 3),
        (4, 1, 3),
    ]
    assert trials[0].shot_indices == trials[1].shot_indices == trials[2].shot_indices[:2]
    assert len({trial.config_hash() for trial in trials}) == 4
    drawn = plan(benchmark(realiad))
    assert {t.config_hash() for t in trials}.isdisjoint(t.config_hash() for t in drawn)


def test_a_result_tells_how_it_departs_from_what_was_published(realiad, tmp_path):
    grid = benchmark(realiad, shots=[4], seeds=[0], shot_selection="published")
    (trial,) = plan(grid)
    before = torch.get_num_threads()
    result = Worker("cpu", threads=1).run(trial, tmp_path / "trial")
    torch.set_num_threads(before)
    assert result.error is None
    shots = list(dict.fromkeys(published()["realiad"][NAME][4]))
    assert [f"{s.path.parent.name}/{s.path.name}" for s in result.support] == shots
    assert result.notes == (
        "toy_brick: 1 of its published shots are test images; they are taken out of the test set",
        "toy_brick: the published 4 shots name an image twice; fitted on the 3 distinct ones",
    )
    text = write_report(grid, [trial], {trial.name: result}, tmp_path / "report")
    assert text.endswith("\n- ".join(["Notes:\n", *result.notes]))


def test_views_are_in_the_plan_and_the_default_changes_nothing(tmp_path):
    root = write_realiad(tmp_path, NAME)
    default, named, both = (
        plan(benchmark(root, shots=[1], seeds=[0], views=views))[0]
        for views in ([], ["C1"], ["C2", "C1"])
    )
    assert default == named
    assert both.views == ("C1", "C2")
    assert both.data_fingerprint != default.data_fingerprint
    assert both.config_hash() != default.config_hash()


def test_a_trial_of_before_keeps_its_hash(plates):
    """As it was, by hand, before trials had views and a selection of shots."""
    grid = {"dataset": "folder", "data_root": plates, "methods": ["padim"]}
    trial = plan(resolve(Grid(**grid), beside=plates))[0]
    before = {
        "dataset": "folder",
        "data_fingerprint": trial.data_fingerprint,
        "category": "plate_a",
        "method": "padim",
        "options": {},
        "shots": 1,
        "seed": 0,
        "backbone": "bundled",
        "weights": None,
        "weights_sha256": None,
        "shot_indices": None,
        "finegrain": version("finegrain"),
        "alarms_per_100": 5.0,
    }
    text = json.dumps(before, sort_keys=True)
    assert trial.config_hash() == hashlib.sha256(text.encode()).hexdigest()


def test_mvtec_is_planned_on_its_published_shots(tmp_path):
    for index in range(60):
        empty(tmp_path / f"toothbrush/train/good/{index:03}.png")
    empty(tmp_path / "toothbrush/test/good/000.png")
    trials = plan(
        benchmark(
            tmp_path,
            dataset="mvtec",
            categories=["toothbrush"],
            shots=[1, 2, 4],
            seeds=[0],
            shot_selection="published",
        )
    )
    assert [trial.shot_indices for trial in trials] == [(32,), (25, 12), (7, 11, 48, 54)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shots": [3]}, "published are 1, 2 and 4 shots; got 3"),
        ({"dataset": "folder"}, "no shots were published for folder"),
        ({"views": ["all"]}, "published shots are of view C1; leave out --views"),
        ({"shot_list": "x.json"}, "either --shot-list or --shot-selection published"),
        ({"dataset": "mvtec", "views": ["C2"]}, "--views are of realiad; mvtec has none"),
        ({"views": ["C7"]}, "no view C7; known: C1"),
    ],
)
def test_what_does_not_go_together_is_said(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        benchmark(tmp_path, **({"shot_selection": "published"} | changes))
