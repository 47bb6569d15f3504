"""The prompts of a category learned from its K shots, whose tokens are encoded once."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from finegrain.backbones import FrozenClip, PatchTokens
from finegrain.captions import Caption
from finegrain.method.config import MethodConfig
from finegrain.method.losses import OBJECTIVES, Seen, alignment_losses
from finegrain.method.prompts import PromptBank
from finegrain.method.query_former import QueryFormer
from finegrain.method.regions import Regions, aggregate_regions
from finegrain.method.scoring import UnitFeatures, unit_features
from finegrain.method.training import descend
from finegrain.method.units import caption_units


class PromptFit:
    """The prompts of a category while they learn from its shots.

    Args:
        clip: the frozen model.
        caption: of the category.
        shots: K.
        fine: tokens of the shots' slices for the regions; None to use the shots' own.
        config: all stages.
        seed: of everything random.
        temperature: T of L_clip.
        rearranged: changes the regions that were found, for a control.

    `bank` and `former` learn; `regions` are those of the units on the shots.
    """

    def __init__(
        self,
        clip: FrozenClip,
        caption: Caption,
        shots: PatchTokens,
        fine: PatchTokens | None,
        config: MethodConfig,
        *,
        seed: int,
        temperature: float,
        rearranged: Callable[[Regions], Regions] | None = None,
    ) -> None:
        self._units = caption_units(caption, multi_level=config.prompts.multi_level)
        self._config, self._temperature = config, temperature
        self.bank = PromptBank(clip, self._units, config.prompts, seed)
        self._begun = {name: p.detach().clone() for name, p in self.bank.named_parameters()}
        width = shots.patches.shape[-1]
        self.former = QueryFormer(len(self._units), width, seed).to(clip.device)
        with torch.no_grad():
            self.regions = aggregate_regions(
                self._units, self.bank().normal(), shots, fine, config.regions
            )
        if rearranged:
            self.regions = rearranged(self.regions)
        weights = self.regions.weights.flatten(1)
        self._seen = Seen(shots.patches.flatten(0, 1), weights, shots.image)

    def epochs(self) -> Iterator[int]:
        """Learn, an epoch at a time."""
        parameters = [*self.bank.parameters(), *self.former.parameters()]
        training = self._config.training
        losses = {name: float(getattr(self._config.losses, name)) for name in OBJECTIVES}
        yield from descend(parameters, self._objectives, losses, training)

    @torch.no_grad()
    def moved(self) -> dict[str, float]:
        """How far everything that learns is from where it began, in shares of its length there.

        Gates have no length: theirs is the mean change of their openings, which are in [0, 1].
        """
        found = {}
        for name, value in self.bank.named_parameters():
            begun = self._begun[name]
            if name == "gates":
                found[name] = float((value.sigmoid() - begun.sigmoid()).abs().mean())
            else:
                found[name] = float((value - begun).norm() / begun.norm())
        return found

    @torch.no_grad()
    def features(self) -> UnitFeatures:
        """What scoring needs of bank and former as they are now."""
        prompts = self.bank()
        normal, abnormal = prompts.normal(), prompts.abnormal()
        return unit_features(normal, abnormal, self.former(normal, abnormal))

    def _objectives(self) -> dict[str, Tensor]:
        prompts = self.bank()
        queries = self.former(prompts.normal().detach(), prompts.abnormal().detach())
        return alignment_losses(
            prompts, self._units, self._seen, queries, self._temperature, self._config.losses
        )
