"""The objectives against numbers worked out by hand."""

import math

import pytest
import torch

from finegrain.method.config import LossConfig
from finegrain.method.losses import (
    Seen,
    alignment_losses,
    clip_loss,
    query_loss,
    regularization_loss,
    triplet_loss,
)
from finegrain.method.prompts import HANDCRAFTED, LEARNABLE, NORMAL, PromptFeatures
from finegrain.method.units import Unit

X, Y, Z = torch.eye(3)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_clip_loss():
    """Two tokens, T = 2: cosines 1 and 0 to n̄; 0 and 1, 0 and 0 to the two abnormal prompts."""
    loss = clip_loss(torch.stack([X, Y]), X, torch.stack([Y, Z]), temperature=2.0)
    first = -math.log(math.exp(2) / (math.exp(2) + 1 + 1))
    second = -math.log(1 / (1 + math.exp(2) + 1))
    assert float(loss) == pytest.approx((first + second) / 2)


def test_triplet_loss():
    """At n̄ itself the distance to ā is √2 > margin 1; at ā the loss is √2 + 1."""
    assert float(triplet_loss(X[None], X, Y, 1.0)) == 0
    assert float(triplet_loss(Y[None], X, Y, 1.0)) == pytest.approx(math.sqrt(2) + 1)


def test_regularization_loss():
    """x − 1·(y + z) − x = −(y + z), of length √2; with η = 0 nothing is left."""
    parts = torch.stack([2 * Y, 5 * Z])  # lengths do not count
    assert float(regularization_loss(3 * X, parts, X, 1.0)) == pytest.approx(math.sqrt(2))
    assert float(regularization_loss(3 * X, parts, X, 0.0)) == pytest.approx(0)


def test_query_loss():
    """A query half-way between x and y: 2 − 2·cos 45°."""
    loss = query_loss((X + Y)[None], X[None], Y[None])
    assert float(loss) == pytest.approx(2 - math.sqrt(2))


def small_category():
    """One image unit and one background unit, without components; a prompt of each kind."""
    features = torch.stack([X, Y, Z, Z, Y, X])
    unit, kind = (
        torch.tensor([0, 0, 0, 1, 1, 1]),
        torch.tensor([NORMAL, HANDCRAFTED, LEARNABLE] * 2),
    )
    units = [Unit("image", "a", "a", (), ("x",)), Unit("background", "b", "b", (), ("x",))]
    return PromptFeatures(features, unit, kind, 2), units


def test_all_objectives_of_a_small_category():
    """Two tokens, the second of the background's region; Eq. 3 has nothing to say."""
    prompts, units = small_category()
    seen = Seen(torch.stack([X, Z]), torch.tensor([[1.0, 1.0], [1.0, 2.5]]), Y[None])
    losses = alignment_losses(prompts, units, seen, torch.stack([X, Z]), 1.0, LossConfig())
    sure = -math.log(math.e / (math.e + 2))  # cosines 1 to n̄, 0 and 0 to the abnormal
    flawed = -math.log(1 / (1 + math.e + 1))  # cosine 1 to one of the abnormal
    image = (sure + flawed) / 2
    ground = (1.0 * flawed + 2.5 * sure) / 3.5
    assert float(losses["clip"]) == pytest.approx((image + ground + flawed) / 3)
    right, half = math.sqrt(2), math.sqrt(2 - math.sqrt(2))  # ‖x − y‖, ‖x − (x+y)/√2‖
    near, far = max(0.0, 0 - right + 1), right - half + 1
    image = (near + far) / 2
    ground = (1.0 * far + 2.5 * near) / 3.5
    assert float(losses["triplet"]) == pytest.approx((image + ground + far) / 3)
    assert float(losses["mean"]) == pytest.approx(2)  # ‖y − z‖² = ‖y − x‖² = 2
    assert float(losses["regularization"]) == 0
    assert float(losses["query"]) == pytest.approx(1)  # q = n̄, at right angles to ā


@pytest.mark.parametrize(
    ("weighting", "expected"), [("losses", 2.5), ("tokens", 2.5 * sigmoid(-5.875) / sigmoid(-2.35))]
)
def test_a_unit_s_own_region_pulls_harder_than_another(weighting, expected):
    """Two tokens lie alike to all prompts; each shows in the gradient on n̄ by a place of its own.

    As a temperature the weight of 2.5 leaves the own region's pull a small part of the other's, at
    T = 47 and a lead of 0.05: 2.5·sigmoid(−2.5·47·0.05) / sigmoid(−47·0.05).
    """
    tokens = torch.tensor([[0.6, 0.55, 0.1, 0.0, 0.0], [0.6, 0.55, 0.0, 0.1, 0.0]])
    features = torch.eye(5)[[0, 1, 4]].requires_grad_()  # cosines .6, .55 and 0, which is no rival
    kinds = torch.tensor([NORMAL, HANDCRAFTED, LEARNABLE])
    prompts = PromptFeatures(features, torch.zeros(3), kinds, 1)
    seen = Seen(tokens, torch.tensor([[2.5, 1.0]]), tokens)
    config = LossConfig(weighting=weighting, class_token=False)
    unit = [Unit("image", "a", "a", (), ("x",))]
    loss = alignment_losses(prompts, unit, seen, tokens[:1], 47.0, config)["clip"]
    (gradient,) = torch.autograd.grad(loss, features)
    assert float(gradient[0, 2] / gradient[0, 3]) == pytest.approx(expected, abs=2e-3)


def test_the_class_token_trains_the_image_unit():
    """With the class token far from n̄ and every patch at it, only its own term has a gradient."""
    prompts, units = small_category()
    patches = torch.stack([X, X])
    for class_token in (True, False):
        losses = [
            alignment_losses(
                prompts, units, Seen(patches, torch.ones(2, 2), shown[None]), patches, 5.0,
                LossConfig(class_token=class_token),
            )["clip"]
            for shown in (X, Y)
        ]  # fmt: skip
        assert bool(losses[0] < losses[1]) == class_token
