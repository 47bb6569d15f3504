"""The training loop on the K shots, whose tokens are encoded once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from finegrain.captions import Caption
from finegrain.clip import FrozenClip, PatchTokens
from finegrain.method.config import MethodConfig
from finegrain.method.losses import alignment_losses
from finegrain.method.prompts import PromptBank, PromptFeatures
from finegrain.method.query_former import QueryFormer
from finegrain.method.regions import Regions, find_regions
from finegrain.method.scoring import UnitFeatures, unit_features
from finegrain.method.units import caption_units

OnEpoch = Callable[[int, Mapping[str, float]], None]  # number from 1, losses


@dataclass(frozen=True)
class Fitted:
    """What a fit leaves.

    Args:
        bank: the learned prompts.
        former: the learned Query Former.
        features: what scoring needs of both.
        regions: of the units on the shots.
    """

    bank: PromptBank
    former: QueryFormer
    features: UnitFeatures
    regions: Regions


def _silent(_epoch: int, _losses: Mapping[str, float]) -> None:
    """Nobody asked about progress."""


def fit_prompts(
    clip: FrozenClip,
    caption: Caption,
    shots: PatchTokens,
    fine: PatchTokens | None,
    config: MethodConfig,
    *,
    seed: int,
    temperature: float,
    on_epoch: OnEpoch = _silent,
) -> Fitted:
    """Learn the prompts of a category from its shots.

    Args:
        clip: the frozen model.
        caption: of the category.
        shots: K.
        fine: tokens of the shots' slices for the regions; None to use the shots' own.
        config: all stages.
        seed: of everything random.
        temperature: T.
        on_epoch: hears of every epoch.
    """
    units = caption_units(caption, multi_level=config.prompts.multi_level)
    bank = PromptBank(clip, units, config.prompts, seed)
    former = QueryFormer(len(units), shots.patches.shape[-1], seed).to(clip.device)
    with torch.no_grad():
        regions = find_regions(units, bank().normal(), shots, fine, config.regions)
    tokens = shots.patches.flatten(0, 1)
    weights = regions.weights.flatten(1)
    parameters = [*bank.parameters(), *former.parameters()]
    epochs = config.training.epochs
    optimizer, schedule = _optimizer(parameters, config)
    for epoch in range(1, epochs + 1):
        prompts = bank()
        queries = former(prompts.normal().detach(), prompts.abnormal().detach())
        losses = alignment_losses(
            prompts, units, tokens, weights, queries, temperature, config.losses
        )
        total = torch.stack([getattr(config.losses, name) * x for name, x in losses.items()]).sum()
        optimizer.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        on_epoch(epoch, {name: float(loss.detach()) for name, loss in losses.items()})
    with torch.no_grad():
        features = _features(bank(), former)
    return Fitted(bank, former, features, regions)


def _features(prompts: PromptFeatures, former: QueryFormer) -> UnitFeatures:
    normal, abnormal = prompts.normal(), prompts.abnormal()
    return unit_features(normal, abnormal, former(normal, abnormal))


def _optimizer(
    parameters: list[nn.Parameter], config: MethodConfig
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    training = config.training
    optimizer = torch.optim.SGD(
        parameters,
        lr=training.learning_rate,
        momentum=training.momentum,
        weight_decay=training.weight_decay,
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimizer, max(training.epochs, 1), training.final_learning_rate
    )
    return optimizer, schedule
