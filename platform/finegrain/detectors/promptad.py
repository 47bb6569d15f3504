"""PromptAD: prompts learned from normal samples alone, and a visual memory.

Li et al., PromptAD: Learning Prompts with only Normal Samples for Few-Shot Anomaly Detection,
CVPR 2024. The prompts and their losses are in promptad_prompts.py.
"""

import copy
import math
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Self

import torch
from torch import Tensor

from finegrain.backbones import Backbone, FrozenClip, PatchTokens, RgbImage, encode
from finegrain.detectors.detector import Detector, Prediction
from finegrain.detectors.maps import to_pixels
from finegrain.detectors.promptad_prompts import BranchPrompts, PromptADConfig, learn_branches
from finegrain.detectors.text import check_reads_text, logit_scale
from finegrain.method.memory import VisualMemory
from finegrain.method.scoring import abnormal_share, harmonic_mean
from finegrain.method.training import pausing

IMAGE, PIXELS = 0, 1  # the branches


class PromptAD(Detector):
    """Learned prompts on class and patch tokens, each fused with the memory by the harmonic mean.

    Departures from the paper: both branches learn in one fit, which is the same as one after the
    other, for they share nothing. From the published code: the last epoch counts, where it keeps
    the best on test data; suffixes stand behind the object's name, as the paper has it, where it
    puts them before; d of the margin is the distance, not its square. As there, T is the logarithm
    of the backbone's logit scale, not the scale: at the scale itself, learning on normal tokens
    alone ruins the map. MAPs name the defects of the category's caption,
    where one is known, or else a list of our own.
    """

    name = "promptad"
    names_object = True
    Config = PromptADConfig
    config: PromptADConfig
    backbone: FrozenClip

    def __init__(
        self, backbone: Backbone, options: Mapping[str, object] | None = None, *, seed: int = 111
    ) -> None:
        super().__init__(backbone, options, seed=seed)
        check_reads_text(backbone, self.name)
        own = self.config.temperature
        self.temperature = own or math.log(logit_scale(backbone, "temperature"))
        self.config = replace(self.config, temperature=self.temperature)  # what a checkpoint says

    def epochs(self, images: Sequence[RgbImage], pauses: Container[int] = ()) -> Iterator[int]:
        """As `Detector.epochs` says."""
        self.check_some(images)
        yield from self._learn(encode(self.backbone, images), pauses)

    def fit_tokens(self, tokens: PatchTokens) -> None:
        """Learn the prompts and remember the shots."""
        for _ in self._learn(tokens):
            pass

    def _learn(self, tokens: PatchTokens, pauses: Container[int] = ()) -> Iterator[int]:
        bank = BranchPrompts(self.backbone, self.config, self.seed)
        self.memory = VisualMemory.of(tokens)
        learning = learn_branches(bank, tokens, self.config, self.temperature)
        for epoch in pausing(learning, self.config.training.epochs, pauses):
            self._take(bank)
            yield epoch

    @torch.no_grad()
    def _take(self, bank: BranchPrompts) -> None:
        """What was learned so far."""
        prompts = bank()
        self.normal, self.abnormal = prompts.normal(), prompts.abnormal()  # (2,D)
        self.learned = {f"prompts.{k}": v.detach().clone() for k, v in bank.named_parameters()}

    def remembering(self, tokens: PatchTokens) -> Self:
        """A copy with the same prompts and the memory of other shots."""
        other = copy.copy(self)
        other.memory = VisualMemory.of(tokens)
        return other

    def score(self, tokens: PatchTokens) -> Prediction:
        """Map: H(text at patches, M_v); image: H(text at the class token, max M_v)."""
        visual = self.memory.distances(tokens)
        text = self._abnormal(tokens.patches, PIXELS)
        maps = to_pixels(harmonic_mean(text, visual), tokens.grid)
        scores = harmonic_mean(self._abnormal(tokens.image, IMAGE), visual.amax(1))
        return Prediction(scores.cpu().numpy(), maps.cpu().numpy())

    def _abnormal(self, tokens: Tensor, branch: int) -> Tensor:  # (...,D) -> (...)
        own = slice(branch, branch + 1)
        shares = abnormal_share(tokens, self.normal[own], self.abnormal[own], self.temperature)
        return shares[..., 0]

    def state(self) -> dict[str, Tensor]:
        """Memory and mean text features, which scoring needs; the learned vectors behind them."""
        features = {"text.normal": self.normal, "text.abnormal": self.abnormal}
        return {**self.memory.state(), **features, **self.learned}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take memory, text features and what was learned."""
        moved = {name: value.to(self.backbone.device) for name, value in state.items()}
        self.memory = VisualMemory.of_state(moved)
        self.normal, self.abnormal = moved["text.normal"], moved["text.abnormal"]
        self.learned = {k: v for k, v in moved.items() if k.startswith("prompts.")}
