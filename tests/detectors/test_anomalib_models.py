"""Models of anomalib as detectors: what needs the extra is skipped without it."""

import importlib.util
import sys

import numpy as np
import pytest
import torch

from finegrain.backbones import encode, load_backbone
from finegrain.backbones.pixels import Pixels, to_images
from finegrain.benchmark.grid import Grid
from finegrain.benchmark.plan import plan, resolve
from finegrain.benchmark.trial import Worker
from finegrain.checkpoint import load_detector, save_detector
from finegrain.detectors import make_detector, method_options
from finegrain.detectors.anomalib import library
from finegrain.detectors.anomalib.model import AnomalibConfig, AnomalibModel
from finegrain.errors import CheckpointError, ConfigError
from tests.conftest import striped

SIDE = 64
SMALL = {"image_size": SIDE, "arguments": {"backbone": "resnet18", "pre_trained": False}}
PADIM = {**SMALL, "arguments": {**SMALL["arguments"], "n_features": 10}}
TRAINED = {**SMALL, "arguments": {**SMALL["arguments"], "flow_steps": 1}, "max_epochs": 2}
needs_extra = pytest.mark.skipif(
    importlib.util.find_spec("anomalib") is None,
    reason="anomalib is not installed; make test-anomalib runs this",
)


@pytest.fixture
def pretended(monkeypatch):
    """As if the extra were installed, as far as names go."""
    monkeypatch.setattr(library, "known_models", lambda: ("EfficientAd", "Patchcore"))


@pytest.fixture(scope="module")
def images():
    generator = np.random.default_rng(0)
    shots = [striped(generator)[0] for _ in range(2)]
    return shots, [striped(generator, defect)[0] for defect in (False, True, True)]


def test_pixels_are_tokens_and_tokens_pixels(images):
    shots, _ = images
    tokens = encode(load_backbone("pixels-64"), shots)
    assert tokens.patches.shape == (2, 64 * 64, 3)
    assert to_images(tokens).is_contiguous()
    back = (to_images(tokens) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(back, np.stack(shots))  # 64 px already: nothing is resized
    assert Pixels("cpu", 32).weights_hash != Pixels("cpu", 64).weights_hash
    assert Pixels.side_of("bundled") is Pixels.side_of("pixels-0") is None


def test_without_the_extra_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "anomalib.models.image", None)
    library.image_models.cache_clear()
    try:
        with pytest.raises(ConfigError, match=r"pip install 'finegrain\[anomalib\]'"):
            AnomalibConfig.from_options({"model": "Patchcore"})
    finally:
        library.image_models.cache_clear()


@pytest.mark.usefixtures("pretended")
def test_a_variant_is_the_model_unless_an_option_says_so():
    assert method_options("anomalib:patchcore", {}) == {"model": "patchcore"}
    assert method_options("anomalib:small", {"model": "Padim"}) == {"model": "Padim"}
    assert method_options("patchcore:small", {}) == {}
    assert AnomalibModel.own_backbone({"model": "efficient_ad", "image_size": 96}) == "pixels-96"


@pytest.mark.usefixtures("pretended")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "model Field required"),
        ({"model": "PatchCor"}, "no image model 'PatchCor'; known: EfficientAd, Patchcore"),
        ({"model": "Patchcore", "backbone": "resnet18"}, "no option backbone; known: arguments,"),
        ({"model": "Patchcore", "max_epochs": 0}, "max_epochs and batch_size must be positive"),
        ({"model": "Patchcore", "mean": [0, 0, 0]}, "mean and std go together"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ConfigError, match=message):
        AnomalibConfig.from_options(options)


@pytest.mark.usefixtures("pretended")
def test_a_plan_mixes_methods_each_on_its_own_backbone(plates):
    methods = ["anomalib:patchcore", "padim"]
    options = ["anomalib:patchcore.arguments.backbone=resnet18", "anomalib:patchcore.image_size=64"]
    grid = {"dataset": "folder", "data_root": plates, "methods": methods, "options": options}
    trials = plan(
        resolve(Grid(shots=[1], seeds=[0], categories=["plate_a"], **grid), beside=plates)
    )
    assert [trial.backbone for trial in trials] == ["pixels-64", "bundled"]
    arguments = {"backbone": "resnet18"}
    assert trials[0].options == {"model": "patchcore", "arguments": arguments, "image_size": 64}
    assert trials[1].options == {}


@needs_extra
@pytest.mark.parametrize(
    ("model", "options"), [("patchcore", SMALL), ("padim", PADIM), ("fastflow", TRAINED)]
)
def test_fit_is_decided_by_its_seed_and_a_reload_scores_the_same(model, options, images, tmp_path):
    shots, others = images
    backbone = Pixels("cpu", SIDE)
    first, second = (
        make_detector(f"anomalib:{model}", backbone, options, seed=3).fit(shots) for _ in range(2)
    )
    state = second.state()
    assert all(torch.equal(value, state[name]) for name, value in first.state().items())
    save_detector(first, tmp_path / "saved", dataset="d", category="c", shots=[])
    again = load_detector(tmp_path / "saved", backbone)
    tokens = encode(backbone, others)
    prediction, reloaded = first.score(tokens), again.score(tokens)
    assert prediction.anomaly_maps.shape == (3, 400, 400)
    np.testing.assert_array_equal(prediction.image_scores, reloaded.image_scores)
    np.testing.assert_array_equal(prediction.anomaly_maps, reloaded.anomaly_maps)


@needs_extra
def test_fitting_leaves_the_generators_alone(images):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    make_detector("anomalib:patchcore", Pixels("cpu", SIDE), SMALL).fit(images[0])
    assert torch.rand(1) == expected


@needs_extra
def test_only_memories_are_calibrated_on_fewer_shots(images):
    backbone = Pixels("cpu", SIDE)
    tokens = encode(backbone, images[0])
    memory = make_detector("anomalib:patchcore", backbone, SMALL).fit(images[0])
    one = memory.remembering(tokens[:1]).module.model.memory_bank
    assert 2 * len(one) == len(memory.module.model.memory_bank)
    trained = make_detector("anomalib:fastflow", backbone, TRAINED).fit(images[0])
    assert trained.remembering(tokens[:1]) is trained


@needs_extra
@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("patchcore", {"arguments": {"bakbone": "resnet18"}}, "unexpected keyword .*bakbone"),
        ("patchcore", {"arguments": {}}, "could not get its pretrained weights.*weights=FILE"),
        ("patchcore", {"arguments": {}, "weights": "none.pth"}, "none.pth is no file"),
        (
            "patchcore",
            {"arguments": {"backbone": "resnet18"}, "weights": "efficientnet_lite1"},
            "weights lack .* tensors",
        ),
    ],
)
def test_what_a_model_refuses_is_an_input_error(model, options, message, images, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    detector = make_detector(f"anomalib:{model}", Pixels("cpu", SIDE), {**SMALL, **options})
    with pytest.raises(ConfigError, match=message):
        detector.fit(images[0])


@needs_extra
def test_a_state_of_another_model_is_refused(images):
    backbone = Pixels("cpu", SIDE)
    state = make_detector("anomalib:patchcore", backbone, SMALL).fit(images[0]).state()
    del state["memory_bank"]
    with pytest.raises(CheckpointError, match="memory_bank"):
        make_detector("anomalib:patchcore", backbone, SMALL).load_state(state)


@needs_extra
def test_a_trial_runs_to_its_end(plates, tmp_path):
    options = [f"anomalib:padim.{key}" for key in ("image_size=64", "arguments.pre_trained=false")]
    grid = {"dataset": "folder", "data_root": plates, "methods": ["anomalib:padim"]}
    trials = plan(resolve(Grid(shots=[2], seeds=[0], options=options, **grid), beside=plates))
    before = torch.get_num_threads()
    result = Worker("cpu", threads=1).run(trials[0], tmp_path)
    torch.set_num_threads(before)
    assert result.status == "ok", result.error
    assert 0 <= result.scores.aupro_30 <= 1
    assert result.false_alarms is not None
