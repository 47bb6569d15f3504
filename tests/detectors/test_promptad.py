"""PromptAD's prompts token by token, its losses by hand, and what learning does."""

import math
from dataclasses import replace

import pytest
import torch

from finegrain.backbones import PatchTokens, RemoteBackbone
from finegrain.backbones.clip.frozen_clip import end_positions
from finegrain.backbones.efficientnet import EfficientNetLite1
from finegrain.checkpoint import load_detector, save_detector
from finegrain.detectors import make_detector
from finegrain.detectors.maps import to_pixels
from finegrain.detectors.promptad_prompts import (
    BranchPrompts,
    PromptADConfig,
    branch_losses,
    learn_branches,
)
from finegrain.errors import ConfigError
from finegrain.method.config import TrainingConfig
from finegrain.method.prompts import HANDCRAFTED, LEARNABLE, NORMAL, PromptFeatures

GRID = (2, 3)
WORDS = {"object_name": "metal plate", "defects": ["scratch", "missing part"]}
SMALL = PromptADConfig.from_options(WORDS)
X, Y, Z = torch.eye(3)


def fit_branches(backbone, shots, config):
    bank = BranchPrompts(backbone, config, seed=0)
    assert list(learn_branches(bank, shots, config, 20.0)) == [
        epoch + 1 for epoch in range(config.training.epochs)
    ]
    return bank


def tokens(count, seed):
    generator = torch.Generator().manual_seed(seed)
    rows, columns = GRID
    joint = torch.randn(count, 1 + rows * columns, 256, generator=generator)
    joint = torch.nn.functional.normalize(joint, dim=-1)
    memories = tuple(torch.randn(count, rows * columns, w, generator=generator) for w in (5, 7))
    return PatchTokens(joint[:, 0], joint[:, 1:], memories, GRID)


def ids(backbone, text):
    """The words' tokens alone."""
    row = backbone.tokenize([text])
    return row[0, 1 : int(end_positions(row))].tolist()


def test_prompts_are_prefix_name_and_suffix(backbone):
    """Two prefixes and two LAPs of two suffix vectors a branch, each prompt encoded alone."""
    config = replace(SMALL, normal=2, learnable=2, suffix=2)
    bank = BranchPrompts(backbone, config, seed=3)
    start, end = backbone.tokenize([""])[0, :2].tolist()
    name = ids(backbone, "metal plate")
    texts = [name, *(ids(backbone, f"metal plate with {d}") for d in WORDS["defects"])]
    expected, kinds = [], []
    for branch in range(2):
        for prefix in bank.prefix[2 * branch : 2 * branch + 2]:
            nothing = torch.empty(0, prefix.shape[1])
            expected += [(prefix, text, nothing) for text in texts]
            learned = bank.suffix[2 * branch : 2 * branch + 2]
            expected += [(prefix, name, suffix) for suffix in learned]
            kinds += [NORMAL, HANDCRAFTED, HANDCRAFTED, LEARNABLE, LEARNABLE]
    features = bank()
    assert features.kind.tolist() == kinds
    assert features.unit.tolist() == [0] * 10 + [1] * 10
    for found, (prefix, text, suffix) in zip(features.features, expected, strict=True):
        first, *words = backbone.embed_tokens(torch.tensor([[start, *text, end]]))[0]
        alone = torch.stack([first, *prefix, *words[:-1], *suffix, words[-1]])
        place = torch.tensor([len(alone) - 1])
        torch.testing.assert_close(
            found, backbone.encode_prompts(alone[None], place)[0], atol=1e-5, rtol=0
        )


def test_a_long_name_costs_no_suffix(backbone):
    config = replace(SMALL, object_name="plate " * 60, prefix=12, suffix=12, learnable=1)
    bank = BranchPrompts(backbone, config, seed=0)
    assert int(bank.prompts.ends.max()) == 76  # of 77
    assert bank().features.shape == (8, 256)


def test_losses_by_hand():
    """One class token x; one patch token y; T = 2. Either branch has one MAP and one LAP."""
    features = torch.stack([X, Y, Z, X, Z, Y])
    unit = torch.tensor([0, 0, 0, 1, 1, 1])
    kind = torch.tensor([NORMAL, HANDCRAFTED, LEARNABLE] * 2)
    prompts = PromptFeatures(features, unit, kind, 2)
    losses = branch_losses(prompts, (X[None], Y[None]), temperature=2.0, margin=0.5)
    image = -math.log(math.exp(2) / (math.exp(2) + 2))  # cosines 1; 0, 0
    pixels = -math.log(1 / (1 + 1 + math.exp(2)))  # cosines 0; 0, 1
    assert float(losses["clip"]) == pytest.approx(image + pixels)
    to_abnormal = math.sqrt(2 - math.sqrt(2))  # ‖y − (y + z)/√2‖
    assert float(losses["margin"]) == pytest.approx(0 + math.sqrt(2) - to_abnormal + 0.5)
    assert float(losses["alignment"]) == pytest.approx(2 + 2)


def total(bank, shots, alignment):
    pair = (shots.image, shots.patches.flatten(0, 1))
    losses = branch_losses(bank(), pair, 20.0, 0.0)
    return losses["clip"] + losses["margin"] + alignment * losses["alignment"]


def test_the_first_step_is_down_the_gradient_of_the_sum(backbone):
    """p − lr · (g + decay · p), with λ = 3."""
    shots = tokens(2, seed=1)
    config = replace(SMALL, alignment=3.0)
    rates = TrainingConfig(epochs=1, learning_rate=0.1, weight_decay=0.2)
    before = BranchPrompts(backbone, config, seed=0)
    total(before, shots, 3.0).backward()
    after = fit_branches(backbone, shots, replace(config, training=rates))
    for old, new in ((before.prefix, after.prefix), (before.suffix, after.suffix)):
        torch.testing.assert_close(new, old - 0.1 * (old.grad + 0.2 * old), atol=1e-6, rtol=0)


def test_learning_lowers_the_loss(backbone):
    shots = tokens(2, seed=1)
    totals = []
    for epochs in (0, 1, 8):
        config = replace(SMALL, training=TrainingConfig(epochs=epochs))
        bank = fit_branches(backbone, shots, config)
        totals.append(float(total(bank, shots, 0.001).detach()))
    assert totals[0] > totals[1] > totals[2]


def test_branches_learn_as_if_apart(backbone):
    """Other patch tokens change nothing of the image branch."""
    first, second = tokens(2, seed=1), tokens(2, seed=2)
    mixed = PatchTokens(first.image, second.patches, first.memories, GRID)
    config = replace(SMALL, training=TrainingConfig(epochs=3))
    one, other = (fit_branches(backbone, shots, config) for shots in (first, mixed))
    torch.testing.assert_close(one.prefix[0], other.prefix[0], atol=1e-7, rtol=0)
    torch.testing.assert_close(one.suffix[:4], other.suffix[:4], atol=1e-7, rtol=0)
    assert (one.prefix[1] - other.prefix[1]).abs().max() > 1e-5


@pytest.fixture
def fitted(backbone):
    detector = make_detector("promptad", backbone, WORDS | {"training": {"epochs": 2}}, seed=1)
    detector.fit_tokens(tokens(2, seed=1))
    return detector


def test_seeds_learn_other_prompts(fitted, backbone):
    other = make_detector("promptad", backbone, WORDS | {"training": {"epochs": 2}}, seed=2)
    other.fit_tokens(tokens(2, seed=1))
    for name, value in fitted.state().items():
        assert torch.equal(value, other.state()[name]) == name.startswith("memory."), name


def test_scores_are_harmonic_means_of_text_and_memory(fitted):
    shots, query = tokens(2, seed=1), tokens(1, seed=2)
    distances = []
    for known, seen in zip(shots.memories, query.memories, strict=True):
        unit = [torch.nn.functional.normalize(x.flatten(0, 1), dim=-1) for x in (seen, known)]
        distances.append((1 - unit[0] @ unit[1].T).amin(1) / 2)
    visual = torch.stack(distances).mean(0)
    scale = fitted.temperature
    texts = torch.stack([fitted.normal, fitted.abnormal])  # (2,branches,D)
    image = (scale * texts[:, 0] @ query.image[0]).softmax(0)[1]
    pixels = (scale * query.patches[0] @ texts[:, 1].T).softmax(1)[:, 1]
    prediction = fitted.score(query)
    assert float(prediction.image_scores[0]) == pytest.approx(
        float(1 / (1 / image + 1 / visual.max())), rel=1e-4
    )
    expected = to_pixels((1 / (1 / pixels + 1 / visual))[None], GRID)
    torch.testing.assert_close(
        torch.from_numpy(prediction.anomaly_maps), expected, rtol=1e-3, atol=1e-6
    )


def test_a_left_out_shot_is_scored_with_the_same_prompts(fitted):
    others = fitted.remembering(tokens(1, seed=5))
    assert others.normal is fitted.normal
    assert others.memory.levels[0].shape[0] == 1
    assert fitted.memory.levels[0].shape[0] == 2


def test_scoring_needs_no_text_tower(fitted, tmp_path):
    save_detector(fitted, tmp_path / "saved", dataset="d", category="c", shots=[])
    backbone = fitted.backbone
    remote = RemoteBackbone(backbone.name, backbone.weights_hash)
    again, query = load_detector(tmp_path / "saved", remote), tokens(3, seed=4)
    first, second = fitted.score(query), again.score(query)
    assert (first.image_scores == second.image_scores).all()
    assert (first.anomaly_maps == second.anomaly_maps).all()
    with pytest.raises(ConfigError, match="alone, give temperature"):
        make_detector("promptad", remote)


def test_what_cannot_be_is_said():
    with pytest.raises(ConfigError, match="promptad reads text, and efficientnet_lite1 does"):
        make_detector("promptad", EfficientNetLite1("cpu"))
    with pytest.raises(ConfigError, match="defects Tuple should have at least 1 item"):
        PromptADConfig.from_options({"defects": []})
    with pytest.raises(ConfigError, match="object_name String should have at least 1"):
        PromptADConfig.from_options({"object_name": ""})
    with pytest.raises(ConfigError, match="suffix Input should be less than or equal to 12"):
        PromptADConfig.from_options({"suffix": 13})
    with pytest.raises(ConfigError, match=r"training.epoch\b"):
        PromptADConfig.from_options({"training": {"epoch": 3}})
