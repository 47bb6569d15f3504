"""The objectives against numbers worked out by hand."""

import math

import pytest
import torch

from finegrain.method.config import LossConfig
from finegrain.method.losses import (
    alignment_losses,
    clip_loss,
    query_loss,
    regularization_loss,
    triplet_loss,
)
from finegrain.method.prompts import HANDCRAFTED, LEARNABLE, NORMAL, PromptFeatures
from finegrain.method.units import Unit

X, Y, Z = torch.eye(3)


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


def test_all_objectives_of_a_small_category():
    """One image unit and one background unit without components: Eq. 3 has nothing to say."""
    features = torch.stack([X, Y, Z, Z, Y, X])
    unit, kind = (
        torch.tensor([0, 0, 0, 1, 1, 1]),
        torch.tensor([NORMAL, HANDCRAFTED, LEARNABLE] * 2),
    )
    prompts = PromptFeatures(features, unit, kind, 2)
    units = [Unit("image", "a", "a", (), ("x",)), Unit("background", "b", "b", (), ("x",))]
    weights = torch.tensor([[1.0], [2.0]])
    queries = torch.stack([X, Z])
    losses = alignment_losses(prompts, units, X[None], weights, queries, 1.0, LossConfig())
    own = -math.log(math.e / (math.e + 2))  # the token is x, weight 1: cosines 1, 0, 0
    other = -math.log(1 / (1 + 1 + math.exp(2)))  # weight 2: n̄ = z 0; y 0, x 2
    assert float(losses["clip"]) == pytest.approx((own + other) / 2)
    assert float(losses["mean"]) == pytest.approx(2)  # ‖y − z‖² = ‖y − x‖² = 2
    assert float(losses["regularization"]) == 0
    assert float(losses["query"]) == pytest.approx(1)  # q = n̄, at right angles to ā
    abnormal = math.sqrt(0.5)
    first = max(0.0, 0 - math.sqrt(2) + 1)
    second = math.sqrt(5) - math.sqrt((2 - abnormal) ** 2 + abnormal**2) + 1
    assert float(losses["triplet"]) == pytest.approx((first + second) / 2)
