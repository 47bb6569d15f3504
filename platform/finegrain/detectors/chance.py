"""Scores that ignore the images: the floor of every metric, and a trial that costs nothing."""

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
from torch import Tensor

from finegrain.backbones import PatchTokens, RgbImage
from finegrain.data.masks import MAP_SIZE
from finegrain.detectors.detector import Detector, Prediction


class Chance(Detector):
    """Uniform random scores; not in a benchmark unless it is asked for."""

    name = "chance"

    def fit(self, images: Sequence[RgbImage]) -> Self:
        """Look at nothing."""
        return self

    def fit_tokens(self, tokens: PatchTokens) -> None:
        """Learn nothing."""

    def score(self, tokens: PatchTokens) -> Prediction:
        """The same numbers for every batch of the same length."""
        generator = np.random.default_rng(self.seed)
        maps = generator.random((len(tokens), MAP_SIZE, MAP_SIZE), dtype=np.float32)
        return Prediction(generator.random(len(tokens), dtype=np.float32), maps)

    def state(self) -> dict[str, Tensor]:
        """Nothing."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take nothing."""
