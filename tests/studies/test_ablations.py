"""What each variant of an ablation changes, on a toy CLIP; and curves of the results' means."""

import copy
import json
from dataclasses import asdict, replace
from functools import cache
from itertools import combinations

import numpy as np
import pytest
import torch

from finegrain.backbones import encode
from finegrain.benchmark.grid import Grid
from finegrain.benchmark.methods import parse_options
from finegrain.benchmark.plan import TrialResult, plan, resolve
from finegrain.benchmark.store import create, trial_directory
from finegrain.benchmark.trial import RESULT
from finegrain.captions import find_caption
from finegrain.detectors import method_options
from finegrain.detectors.finegrained import FineGrained, FineGrainedConfig
from finegrain.errors import ConfigError
from finegrain.evaluation.metrics import Scores
from finegrain.files import write_text
from finegrain.method.losses import OBJECTIVES, triplet_loss
from finegrain.method.paper import PAPER
from finegrain.studies.ablations import curve_values
from finegrain.studies.curves import plot_curves
from finegrain.studies.variants import ABLATIONS, CURVES, OF_DEFAULT, OF_PAPER, ablation_grid
from tests.backbones.conftest import frozen, tiny_model
from tests.conftest import PLATE, striped


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
def test_the_method_as_it_is_stands_among_the_variants(name):
    found = list(configs(name).values())
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


@pytest.fixture(scope="module")
def toy():
    """A small CLIP, two shots, and the tokens of a good and of a flawed image."""
    clip, generator = frozen(tiny_model()), np.random.default_rng(0)
    images = [striped(generator, defect)[0] for defect in (False, False, False, True)]
    return clip, images[:2], encode(clip, images[2:])


@pytest.fixture(scope="module")
def fits(toy):
    """ABLATION, LABEL -> that variant fitted; one epoch in large steps stands for a hundred."""
    clip, shots, _ = toy

    @cache
    def fitted(name, label):
        options = {group: asdict(getattr(configs(name)[label], group)) for group in PAPER}
        options["training"] |= {"epochs": min(1, options["training"]["epochs"])}
        options["training"] |= {"learning_rate": 0.05}
        return FineGrained(clip, {**options, "caption": PLATE}, seed=5).fit(shots)

    return fitted


@pytest.mark.parametrize("name", [name for name in ABLATIONS if name != "margin"])
def test_variants_score_differently(name, fits, toy):
    """No two of an ablation give the same image scores and maps: each row answers something."""
    found = {}
    for label in configs(name):
        scores = fits(name, label).score(toy[-1])
        found[label] = np.concatenate([scores.image_scores, scores.anomaly_maps.ravel()])
    for one, two in combinations(found, 2):
        assert np.abs(found[one] - found[two]).max() > 1e-6, (one, two)


def test_the_margin_is_that_of_the_triplet_loss():
    """A token nearer to n̄ than to ā by 0.9."""
    token = torch.tensor([[0.0, 0.0]])
    near, far = torch.tensor([0.3, 0.0]), torch.tensor([1.2, 0.0])
    losses = {
        label: float(triplet_loss(token, near, far, config.losses.margin))
        for label, config in configs("margin").items()
    }
    assert losses == pytest.approx({"0-5": 0, "1-0": 0.1, "1-5": 0.6, "2-0": 1.1}, abs=1e-6)


def test_table_3_adds_an_objective_a_row(fits):
    """What is trained on no objective keeps its prompts; weight decay alone moves them a little."""
    used = {
        label: [name for name in OBJECTIVES if getattr(config.losses, name)]
        for label, config in configs("objectives").items()
    }
    assert used == {
        "none": ["query"],
        "clip": ["clip", "query"],
        "clip+triplet": ["clip", "triplet", "query"],
        "clip+triplet+mean": ["clip", "triplet", "mean", "query"],
        "clip+triplet+mean+regularization": [*OBJECTIVES],
    }
    untrained = fits("fusion", "visual").features.normal  # of the same seed, after no epoch
    moved = {label: float((fits("objectives", label).features.normal - untrained).abs().max())
             for label in used}  # fmt: skip
    assert moved["none"] < 1e-4
    assert min(value for label, value in moved.items() if label != "none") > 1e-2


def asks_queries(detector, tokens):
    """Whether its map is another one when components and background trade their queries."""
    other, queries = copy.copy(detector), detector.features.queries
    other.features = replace(detector.features, queries=queries.roll(1, 0))
    return not np.array_equal(other.score(tokens).anomaly_maps, detector.score(tokens).anomaly_maps)


@pytest.mark.parametrize(
    ("label", "units", "aligned", "token_wise"),
    [
        ("baseline", 1, False, False),
        ("multi-level", 5, False, False),
        ("multi-level+alignment", 5, True, False),
        ("multi-level+token-wise", 5, False, True),
        ("all", 5, True, True),
    ],
)
def test_table_4_switches_levels_alignment_and_matching(
    label, units, aligned, token_wise, fits, toy
):
    """Image, foreground, two components, background; weights of 2.5 in the own region; q."""
    detector = fits("components", label)
    assert len(detector.units) == units
    assert float(detector.regions.weights.max()) == (2.5 if aligned else 1)
    assert asks_queries(detector, toy[-1]) == token_wise


def test_matching_is_by_queries_in_the_paper_s_variant_alone(fits, toy):
    asked = {label: asks_queries(fits("matching", label), toy[-1]) for label in configs("matching")}
    assert asked == {"mean": False, "query": True, "prompt": False}


def test_each_modification_of_the_clustering_changes_the_regions(fits):
    """The shots' own grid is 4 x 4; seen in 4 x 4 slices it is 16 x 16."""
    found = {label: fits("regions", label).regions for label in configs("regions")}
    coarse = {label for label, regions in found.items() if regions.grid == (4, 4)}
    assert coarse == {"none", "no-fine-resolution"}
    assert all(regions.grid == (16, 16) for label, regions in found.items() if label not in coarse)
    for label in set(found) - {"all"}:
        assert not torch.equal(found[label].own, found["all"].own), label


def test_reweighting_only_raises_scores(fits, toy):
    off, on = (fits("reweighting", label).score(toy[-1]).anomaly_maps for label in ("off", "on"))
    assert (on >= off - 1e-7).all()


def test_curves_are_over_what_they_are_called_after(fits):
    """T of the map; ALPs with placeholders of their own; weight of the own region; eta of Eq. 3."""
    assert [fits("temperature", t).temperature for t in configs("temperature")] == [
        5, 10, 20, 40, 80
    ]  # fmt: skip
    slots = [len(fits("learnable", n).learned["prompts.gates"]) for n in configs("learnable")]
    assert [slot / slots[0] for slot in slots] == [1, 2, 4, 6]
    weights = configs("region-weight")
    highest = [float(fits("region-weight", w).regions.weights.max()) for w in weights]
    assert highest == [1, 1.5, 2, 2.5, 3]
    assert [config.losses.eta for config in configs("eta").values()] == [0.5, 1, 1.5, 2]


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
