"""Each ablation is a benchmark that can be planned, and its curve shows the results' means."""

import json

import pytest

from finegrain.benchmark.grid import Grid
from finegrain.benchmark.methods import parse_options
from finegrain.benchmark.plan import TrialResult, plan, resolve
from finegrain.benchmark.store import create, trial_directory
from finegrain.benchmark.trial import RESULT
from finegrain.captions import find_caption
from finegrain.detectors.finegrained import FineGrainedConfig
from finegrain.errors import ConfigError
from finegrain.evaluation.metrics import Scores
from finegrain.files import write_text
from finegrain.studies.ablations import curve_values
from finegrain.studies.curves import plot_curves
from finegrain.studies.variants import ABLATIONS, CURVES, ablation_grid


@pytest.mark.parametrize("name", ABLATIONS)
def test_every_variant_is_a_valid_configuration_of_its_own(name):
    grid = ablation_grid(name)
    options = parse_options(grid["options"])
    configs = [
        FineGrainedConfig.from_options(options.get(method, {})) for method in grid["methods"]
    ]
    assert all(configs.count(config) == 1 for config in configs)


def test_the_last_step_of_table_4_is_the_whole_method():
    options = parse_options(ablation_grid("components")["options"])
    assert "finegrained:all" not in options


def test_an_unknown_ablation_lists_the_known():
    with pytest.raises(ConfigError, match="objectives, components"):
        ablation_grid("colour")


def test_a_curve_is_the_mean_over_trials(plates, tmp_path):
    captions = tmp_path / "captions"
    captions.mkdir()
    for name in ("plate_a", "plate_b"):
        caption = find_caption("folder", "magnetic_tile").model_dump(mode="json")
        caption["category"] = name
        write_text(captions / f"{name}.json", json.dumps(caption))
    grid = Grid(
        dataset="folder",
        data_root=plates,
        shots=[1],
        seeds=[0],
        captions=captions,
        **ablation_grid("margin"),
    )
    benchmark = resolve(grid, beside=tmp_path)
    assert "margin" in CURVES
    folder = tmp_path / "run"
    create(benchmark, folder)
    values = {}
    for place, trial in enumerate(plan(benchmark)):
        scores = Scores(**{**dict.fromkeys(Scores.names()), "image_auroc": place / 100})
        result = TrialResult(
            trial=trial, config_hash=trial.config_hash(), status="ok", scores=scores
        )
        write_text(trial_directory(folder, trial) / RESULT, result.model_dump_json())
        values.setdefault(trial.method.partition(":")[2], []).append(place)
    labels, means = curve_values(folder)
    assert labels == ["0.5", "1.0", "1.5", "2.0"]
    expected = [sum(values[name]) / 2 for name in ("0-5", "1-0", "1-5", "2-0")]
    assert means["image AUROC"] == pytest.approx(expected)


def test_curves_are_a_png():
    picture = plot_curves("learnable", ["1", "2"], {"image AUROC": [80.0, 81.0]})
    assert picture.startswith(b"\x89PNG")
