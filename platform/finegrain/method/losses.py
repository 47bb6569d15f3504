"""MLSA: the objectives that align prompts with their regions (Eq. 2, 3).

z are the shots' tokens of unit norm times the region weight of the unit at hand, so a token counts
by its weight both in direction and in length.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from finegrain.method.config import LossConfig
from finegrain.method.prompts import HANDCRAFTED, LEARNABLE, NORMAL, PromptFeatures
from finegrain.method.units import Unit


def alignment_losses(
    prompts: PromptFeatures,
    units: Sequence[Unit],
    tokens: Tensor,
    weights: Tensor,
    queries: Tensor,
    temperature: float,
    config: LossConfig,
) -> dict[str, Tensor]:
    """All objectives by name, unweighted.

    Args:
        prompts: features of all prompts.
        units: U, in the order of `prompts.unit`.
        tokens: (M,D) unit-norm tokens of the shots.
        weights: (U,M) region weights.
        queries: (U,D) the Query Former's.
        temperature: T.
        config: constants.
    """
    normal, abnormal = prompts.normal(), prompts.abnormal()
    weighted = weights[..., None] * tokens  # (U,M,D)
    clip = [
        clip_loss(z, n, prompts.of(u, HANDCRAFTED, LEARNABLE), temperature)
        for u, (z, n) in enumerate(zip(weighted, normal, strict=True))
    ]
    return {
        "clip": torch.stack(clip).mean(),
        "triplet": triplet_loss(weighted, normal[:, None], abnormal[:, None], config.margin),
        "mean": mean_distance(prompts).mean(),
        "regularization": _regularization(prompts, units, config.eta),
        "query": query_loss(queries, normal, abnormal),
    }


def clip_loss(tokens: Tensor, normal: Tensor, abnormal: Tensor, temperature: float) -> Tensor:
    """−log of the softmax share of n̄ (D,) against all abnormal prompts (A,D), over tokens (M,D)."""
    logits = temperature * tokens @ torch.cat([normal[None], abnormal]).T
    return (logits.logsumexp(1) - logits[:, 0]).mean()


def triplet_loss(tokens: Tensor, normal: Tensor, abnormal: Tensor, margin: float) -> Tensor:
    """max(0, ‖z−n̄‖ − ‖z−ā‖ + m), mean over the tokens (...,D)."""
    near, far = ((tokens - other).square().sum(-1).sqrt() for other in (normal, abnormal))
    return (near - far + margin).clamp(min=0).mean()


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
