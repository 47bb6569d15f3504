"""Which of a backbone's tokens a detector compares, as its options say.

B images, N patches, W width of the chosen features.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from finegrain.backbones import PatchTokens
from finegrain.backbones.tokens import unit_joined
from finegrain.detectors.detector import DetectorConfig
from finegrain.errors import ConfigError

Source = Literal["levels", "joint"]  # PatchTokens' memories or its patches


@dataclass(frozen=True)
class FeatureConfig(DetectorConfig):
    """Options of a detector of features.

    Args:
        features: "levels" are the backbone's intermediate levels, "joint" its last patch tokens,
            which in a CLIP live in one space with text; left out, what the detector prefers,
            which is the levels where it says nothing else.
        levels: places of those that are taken, from 0; null takes all, as leaving it out does where
            the detector says nothing else.
    """

    features: Source | None = None
    levels: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.levels is not None and (not self.levels or min(self.levels) < 0):
            raise ConfigError(f"levels must be places from 0 up; got {self.levels}")


def side_by_side(tokens: PatchTokens, config: FeatureConfig) -> Tensor:  # -> (B,N,W)
    """The chosen levels joined as the network gives them, or the joint patches."""
    if config.features == "joint":
        return tokens.patches
    return torch.cat(chosen_levels(tokens, config.levels), dim=-1)


def unit_side_by_side(tokens: PatchTokens, config: FeatureConfig) -> Tensor:  # -> (B,N,W)
    """Of unit norm: the chosen levels, each of unit norm before they are joined, or patches."""
    if config.features == "joint":
        return tokens.patches
    return unit_joined(chosen_levels(tokens, config.levels))


def chosen_levels(tokens: PatchTokens, places: Sequence[int] | None) -> list[Tensor]:
    """The levels at those places; ConfigError where the backbone has fewer."""
    count = len(tokens.memories)
    if places is None:
        return list(tokens.memories)
    if max(places) >= count:
        raise ConfigError(f"levels {list(places)} are asked for, but this backbone has {count}")
    return [tokens.memories[place] for place in places]
