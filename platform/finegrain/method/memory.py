"""VAD, the visual memory: how far a token is from everything that the shots show (Eq. 1)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from finegrain.clip import PatchTokens

CHUNK = 8  # images whose distances are in memory at a time


@dataclass(frozen=True)
class VisualMemory:
    """The shots' tokens, level by level: (K·N,W_l) of unit norm."""

    levels: tuple[Tensor, ...]

    @staticmethod
    def of(shots: PatchTokens) -> "VisualMemory":
        """Remember all tokens of the shots."""
        return VisualMemory(
            tuple(F.normalize(level.flatten(0, 1), dim=-1) for level in shots.memories)
        )

    def distances(self, tokens: PatchTokens) -> Tensor:  # -> (B,N)
        """M_v: ½ · min over the memory of (1 − cos), mean over the levels; in [0, 1]."""
        parts = [
            _nearest(F.normalize(level, dim=-1), memory)
            for level, memory in zip(tokens.memories, self.levels, strict=True)
        ]
        return torch.stack(parts).mean(0)


def _nearest(tokens: Tensor, memory: Tensor) -> Tensor:  # (B,N,W), (M,W) -> (B,N)
    similar = torch.cat([(some @ memory.T).amax(-1) for some in torch.split(tokens, CHUNK)])
    return ((1 - similar) / 2).clamp(0, 1)
