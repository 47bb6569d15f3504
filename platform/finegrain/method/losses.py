"""MLSA: the objectives that align prompts with their regions (Eq. 2, 3).

A token counts by the region weight of the unit at hand: its loss does, or, with the published
code's "tokens", the token itself is multiplied by it. There the weight acts as a temperature, and
a token of the unit's own region, whose logits it stretches, gets a smaller gradient than another.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from finegrain.method.config import LossConfig
from finegrain.method.prompts import HANDCRAFTED, LEARNABLE, NORMAL, PromptFeatures
from finegrain.method.units import Unit

OBJECTIVES = ("clip", "triplet", "mean", "regularization", "query")


@dataclass(frozen=True)
class Seen:
    """What the prompts are aligned with: the shots, encoded once.

    Args:
        tokens: (M,D) unit-norm patch tokens.
        weights: (U,M) region weights.
        classes: (K,D) unit-norm class tokens, which the image unit is aligned with too.
    """

    tokens: Tensor
    weights: Tensor
    classes: Tensor


def alignment_losses(
    prompts: PromptFeatures,
    units: Sequence[Unit],
    seen: Seen,
    queries: Tensor,
    temperature: float,
    config: LossConfig,
) -> dict[str, Tensor]:
    """All objectives by name, unweighted; each a mean over units, the class token's one of them.

    Args:
        prompts: features of all prompts.
        units: U, in the order of `prompts.unit`.
        seen: the shots.
        queries: (U,D) the Query Former's.
        temperature: T.
        config: constants.
    """
    normal, abnormal = prompts.normal(), prompts.abnormal()
    clip, triplet = [], []
    for unit, z, weights in _aligned(seen, config):
        every = prompts.of(unit, HANDCRAFTED, LEARNABLE)
        clip.append(clip_loss(z, normal[unit], every, temperature, weights))
        triplet.append(triplet_loss(z, normal[unit], abnormal[unit], config.margin, weights))
    return {
        "clip": torch.stack(clip).mean(),
        "triplet": torch.stack(triplet).mean(),
        "mean": mean_distance(prompts).mean(),
        "regularization": _regularization(prompts, units, config.eta),
        "query": query_loss(queries, normal, abnormal),
    }


def _aligned(seen: Seen, config: LossConfig) -> Iterator[tuple[int, Tensor, Tensor | None]]:
    """Each unit with its tokens and their weights; the first unit is the image's."""
    for unit, weights in enumerate(seen.weights):
        if config.weighting == "tokens":
            yield unit, weights[:, None] * seen.tokens, None
        else:
            yield unit, seen.tokens, weights
    if config.class_token:
        yield 0, seen.classes, None


def clip_loss(
    tokens: Tensor,
    normal: Tensor,
    abnormal: Tensor,
    temperature: float,
    weights: Tensor | None = None,
) -> Tensor:
    """−log of the softmax share of n̄ (D,) against all abnormal prompts (A,D), over tokens (M,D)."""
    logits = temperature * tokens @ torch.cat([normal[None], abnormal]).T
    return _mean(logits.logsumexp(1) - logits[:, 0], weights)


def triplet_loss(
    tokens: Tensor, normal: Tensor, abnormal: Tensor, margin: float, weights: Tensor | None = None
) -> Tensor:
    """max(0, ‖z−n̄‖ − ‖z−ā‖ + m), mean over the tokens (...,D)."""
    near, far = ((tokens - other).square().sum(-1).sqrt() for other in (normal, abnormal))
    return _mean((near - far + margin).clamp(min=0), weights)


def _mean(losses: Tensor, weights: Tensor | None) -> Tensor:
    return losses.mean() if weights is None else (weights * losses).sum() / weights.sum()


def mean_distance(prompts: PromptFeatures) -> Tensor:  # -> (U,)
    """‖mean(handcrafted) − mean(learnable)‖² of each unit's abnormal prompts."""
    return (prompts.mean(HANDCRAFTED) - prompts.mean(LEARNABLE)).square().sum(-1)


def regularization_loss(image: Tensor, parts: Tensor, ground: Tensor, eta: float) -> Tensor:
    """Eq. 3, ‖(p_img − η·Σ p_i) − p_bg‖ of unit-norm (D,), (C,D), (D,)."""
    image, parts, ground = (F.normalize(x, dim=-1) for x in (image, parts, ground))
    return (image - eta * parts.sum(0) - ground).square().sum().sqrt()


def _regularization(prompts: PromptFeatures, units: Sequence[Unit], eta: float) -> Tensor:
    """Eq. 3 on the ALPs of image and components; 0 for a category without background."""
    kinds = [unit.kind for unit in units]
    if "background" not in kinds or "component" not in kinds:
        return prompts.features.new_zeros(())
    learnable = prompts.mean(LEARNABLE)
    parts = learnable[[i for i, kind in enumerate(kinds) if kind == "component"]]
    ground = prompts.mean(NORMAL)[kinds.index("background")]
    return regularization_loss(learnable[kinds.index("image")], parts, ground, eta)


def query_loss(queries: Tensor, normal: Tensor, abnormal: Tensor) -> Tensor:
    """2 − cos(q,n̄) − cos(q,ā), mean over units.

    The prompts stand still for it: a query follows its unit, not the other way round.
    """
    near = F.cosine_similarity(queries, normal.detach(), dim=-1)
    far = F.cosine_similarity(queries, abnormal.detach(), dim=-1)
    return (2 - near - far).mean()
