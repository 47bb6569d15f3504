"""The prompts of a category learned from its K shots, whose tokens are encoded once."""

from dataclasses import dataclass

import torch
from torch import Tensor

from finegrain.captions import Caption
from finegrain.clip import FrozenClip, PatchTokens
from finegrain.method.config import MethodConfig
from finegrain.method.losses import alignment_losses
from finegrain.method.prompts import PromptBank, PromptFeatures
from finegrain.method.query_former import QueryFormer
from finegrain.method.regions import Regions, find_regions
from finegrain.method.scoring import UnitFeatures, unit_features
from finegrain.method.training import OnEpoch, descend, silent
from finegrain.method.units import caption_units


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


def fit_prompts(
    clip: FrozenClip,
    caption: Caption,
    shots: PatchTokens,
    fine: PatchTokens | None,
    config: MethodConfig,
    *,
    seed: int,
    temperature: float,
    on_epoch: OnEpoch = silent,
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

    def objectives() -> dict[str, Tensor]:
        prompts = bank()
        queries = former(prompts.normal().detach(), prompts.abnormal().detach())
        return alignment_losses(
            prompts, units, tokens, weights, queries, temperature, config.losses
        )

    parameters = [*bank.parameters(), *former.parameters()]
    descend(parameters, objectives, vars(config.losses), config.training, on_epoch)
    with torch.no_grad():
        features = _features(bank(), former)
    return Fitted(bank, former, features, regions)


def _features(prompts: PromptFeatures, former: QueryFormer) -> UnitFeatures:
    normal, abnormal = prompts.normal(), prompts.abnormal()
    return unit_features(normal, abnormal, former(normal, abnormal))
