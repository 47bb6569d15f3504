"""Each ablation is a benchmark that can be planned, and its curve shows the results' means."""

import json

import pytest

from finegrain.benchmark.grid import Grid
from finegrain.benchmark.methods import parse_options
from finegrain.benchmark.plan import TrialResult, plan, resolve
from finegrain.benchmark.store import create, trial_directory
from finegrain.benchmark.trial import RESULT
from finegrain.captions import find_caption
from finegrain.detectors import method_options
from finegrain.detectors.finegrained import FineGrainedConfig
from finegrain.errors import ConfigError
from finegrain.evaluation.metrics import Scores
from finegrain.files import write_text
from finegrain.studies.ablations import curve_values
from finegrain.studies.curves import plot_curves
from finegrain.studies.variants import ABLATIONS, CURVES, OF_DEFAULT, OF_PAPER, ablation_grid


def configs(name):
    """Label -> the whole configuration of each variant."""
    grid = ablation_grid(name)
    options = parse_options(grid["options"])
    return {
        method.partition(":")[2]: FineGrainedConfig.from_options(options.get(method, {}))
        for method in grid["methods"]
    }


PAPER_CONFIG = FineGrainedConfig.from_options(method_options("finegrained:paper", {}))


@pytest.mark.parametrize("name", ABLATIONS)
def test_every_variant_is_a_valid_configuration_of_its_own(name):
    found = list(configs(name).values())
    assert all(found.count(config) == 1 for config in found)
    whole = FineGrainedConfig() if name in OF_DEFAULT else PAPER_CONFIG
    assert whole in found or name == "temperature"  # a curve over numbers, where CLIP's has none


@pytest.mark.parametrize("name", OF_PAPER)
def test_every_variant_of_the_paper_s_tables_is_trained(name):
    assert all(config.training.epochs == 100 for config in configs(name).values())


def test_tables_3_and_4_end_with_the_paper_s_method():
    """And where theirs agree, ours do: alignment alone tells their other rows apart."""
    objectives, components = configs("objectives"), configs("components")
    assert objectives["clip+triplet+mean+regularization"] == components["all"] == PAPER_CONFIG
    assert components["multi-level+token-wise"].regions.weight == 0
    assert components["multi-level+alignment"].scoring.token_wise is False
    assert components["baseline"].prompts.multi_level is False


@pytest.mark.parametrize(("curve", "loss"), [("eta", "regularization"), ("margin", "triplet")])
def test_a_curve_varies_what_its_loss_sees(curve, loss):
    assert all(getattr(config.losses, loss) > 0 for config in configs(curve).values())


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
