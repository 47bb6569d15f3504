"""Plans, and which stored results count."""

import json

import pytest

from finegrain.benchmark.grid import Grid
from finegrain.benchmark.methods import parse_options
from finegrain.benchmark.plan import Trial, TrialResult, plan, read_result, resolve
from finegrain.captions import find_caption
from finegrain.errors import ConfigError, DatasetError
from finegrain.files import write_text
from tests.conftest import PLATE


def benchmark(plates, **changes):
    given = {
        "dataset": "folder",
        "data_root": plates,
        "methods": ["padim", "spade"],
        "shots": [1, 2],
        "seeds": [0, 1, 2],
    }
    return resolve(Grid(**given | changes), beside=plates)


def test_a_plan_is_the_grid_category_by_category(plates):
    trials = plan(benchmark(plates, methods=["spade", "padim"]))
    assert len(trials) == len({trial.name for trial in trials}) == 2 * 2 * 2 * 3
    assert [trial.category for trial in trials] == ["plate_a"] * 12 + ["plate_b"] * 12
    assert trials[0].name == "plate_a_spade_1shot_seed0"


def test_each_factory_is_drawn_in_a_folder_of_its_own(tmp_path):
    for dataset in ("factory", "factory_turned"):
        grid = Grid(dataset=dataset, categories=["gasket"], methods=["finegrained"], shots=[1])
        found = resolve(grid, beside=tmp_path)
        assert found.data_root == tmp_path / "data" / dataset
        assert len(found.files_of("gasket").train) == 12
        assert found.captions["gasket"].key == "factory/gasket"


def test_what_decides_a_result_is_in_its_hash(plates):
    first, *others = plan(benchmark(plates, methods=["spade"]))
    assert len({trial.config_hash() for trial in [first, *others]}) == 12
    changed = plan(benchmark(plates, methods=["spade"], options=["spade.nearest_patches=2"]))[0]
    assert changed.config_hash() != first.config_hash()
    moved = first.model_copy(update={"data_root": plates.parent})
    assert moved.config_hash() == first.config_hash()
    (plates / "plate_a" / "test" / "good" / "000.png").unlink()
    assert plan(benchmark(plates, methods=["spade"]))[0].config_hash() != first.config_hash()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"dataset": "mvtek"}, ConfigError, "no dataset 'mvtek'; known: factory, factory_tu"),
        ({"categories": ["bolt"]}, DatasetError, "no category 'bolt'; found plate_a, plate_b"),
        (
            {"methods": ["patchcor"]},
            ConfigError,
            "no method 'patchcor'; known: anomalib, anomalydino, chance, finegrained",
        ),
        ({"backbone": "vgg"}, ConfigError, "no backbone 'vgg'; known: .*efficientnet_lite1"),
        ({"backbone": "ViT-B-32"}, ConfigError, "ViT-B-32 needs weights: a file"),
        ({"weights": "openai"}, ConfigError, "brings its own weights; leave out openai"),
        ({"shots": [0]}, ConfigError, "padim, spade can't be fitted on 0 shots; .* winclip can"),
        ({"shots": [-1]}, ConfigError, "shots must be 0 or more; got \\[-1\\]"),
        ({"options": ["spade.k=2"]}, ConfigError, "no option k"),
        ({"options": ["k=2"]}, ConfigError, "expected METHOD.OPTION=VALUE"),
        ({"options": ["padim.epsilon=0"]}, ConfigError, "epsilon must be positive"),
        ({"methods": ["spade"], "options": ["padim.epsilon=1"]}, ConfigError, "not among"),
        ({"methods": ["finegrained"]}, ConfigError, "no caption for folder/plate_a; .*--captions"),
        (
            {"methods": ["promptad"], "backbone": "efficientnet_lite1"},
            ConfigError,
            "efficientnet_lite1 reads no text",
        ),
        ({"data_root": None}, ConfigError, "dataset folder needs --data-root"),
    ],
)
def test_what_cannot_be_planned_is_said_at_once(plates, changes, error, message):
    with pytest.raises(error, match=message):
        benchmark(plates, **changes)


def test_captions_from_photos_are_left_to_the_trials(plates, tmp_path):
    mine = {**PLATE, "category": "plate_b"}
    (tmp_path / "plate_b.json").write_text(json.dumps(mine))
    given = {"methods": ["finegrained"], "shots": [1], "seeds": [0], "captions_from": "photos"}
    assert [trial.options for trial in plan(benchmark(plates, **given))] == [{}, {}]
    own, other = plan(benchmark(plates, captions=tmp_path, **given))
    assert own.options == {}
    assert other.options["caption"]["category"] == "plate_b"
    (plates / "plate_b").rename(plates / "bottle")  # a name that the library knows
    assert all(not trial.options for trial in plan(benchmark(plates, **given)))


def test_a_method_that_names_the_object_gets_its_words_where_there_are_any(plates):
    trials = plan(benchmark(plates, methods=["promptad"], shots=[1], seeds=[0]))
    assert [trial.options for trial in trials] == [
        {"object_name": "plate a"},
        {"object_name": "plate b"},
    ]
    (plates / "plate_b").rename(plates / "bottle")
    options = ["promptad.training.epochs=3", "promptad.object_name=disc"]
    given = {"methods": ["promptad"], "shots": [1], "seeds": [0], "options": options}
    bottle = plan(benchmark(plates, **given))[0]
    assert bottle.category == "bottle"
    assert bottle.options["object_name"] == "disc"
    assert bottle.options["training"] == {"epochs": 3}
    assert bottle.options["defects"] == list(find_caption("mvtec", "bottle").defects)
    assert Trial.model_validate_json(bottle.model_dump_json()) == bottle


def test_options_are_json_or_text():
    parsed = parse_options(["a.x=1", "a.y=[2, 3]", "b.z=word"])
    assert parsed == {"a": {"x": 1, "y": [2, 3]}, "b": {"z": "word"}}


def test_a_result_counts_only_for_its_own_trial(plates, tmp_path):
    first, second, *_ = plan(benchmark(plates))
    path = tmp_path / "result.json"
    assert read_result(path, first) is None
    result = TrialResult(trial=first, config_hash=first.config_hash(), status="failed", error="x")
    write_text(path, result.model_dump_json())
    assert read_result(path, first) == result
    assert read_result(path, second) is None
    path.write_text(result.model_dump_json()[:-20])
    assert read_result(path, first) is None


def test_a_trial_survives_json(plates):
    trial = plan(benchmark(plates, options=["padim.epsilon=0.5"]))[0]
    assert Trial.model_validate_json(trial.model_dump_json()) == trial


def test_shots_from_a_list_are_in_the_plan(plates, tmp_path):
    path = tmp_path / "shots.json"
    path.write_text('{"plate_a": {"1": [4], "2": [0, 3]}, "plate_b": {"1": [1], "2": [2, 1]}}')
    trials = plan(benchmark(plates, methods=["spade"], seeds=[0], shot_list=path))
    assert [trial.shot_indices for trial in trials] == [(4,), (0, 3), (1,), (2, 1)]
    drawn = plan(benchmark(plates, methods=["spade"], seeds=[0]))
    assert {t.config_hash() for t in trials}.isdisjoint(t.config_hash() for t in drawn)
    path.write_text('{"plate_a": {"1": [4]}}')
    with pytest.raises(ConfigError, match="lists 0 images for 2 shots of plate_a"):
        benchmark(plates, shot_list=path)
    path.write_text("[1, 2]")
    with pytest.raises(ConfigError, match="is no list of shots"):
        benchmark(plates, shot_list=path)
