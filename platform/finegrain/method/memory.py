"""VAD, the visual memory: how far a token is from everything that the shots show (Eq. 1)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from finegrain.clip import PatchTokens
from finegrain.method.config import MemoryConfig

CHUNK = 8  # images whose distances are in memory at a time


@dataclass(frozen=True)
class VisualMemory:
    """The shots' tokens of unit norm, level by level, where they lie: (K,rows,columns,W_l).

    The last level is the joint space's, the others are the tower's.
    """

    levels: tuple[Tensor, ...]

    @staticmethod
    def of(shots: PatchTokens) -> "VisualMemory":
        """Remember all tokens of the shots."""
        levels = (*shots.memories, shots.patches)
        return VisualMemory(
            tuple(F.normalize(level, dim=-1).view(len(level), *shots.grid, -1) for level in levels)
        )

    def distances(self, tokens: PatchTokens) -> Tensor:  # -> (B,N)
        """M_v: ½ · min over the memory of (1 − cos), mean over the tower's levels; in [0, 1]."""
        levels = zip(tokens.memories, self.levels[:-1], strict=True)
        return torch.stack([_nearest(level, memory, None) for level, memory in levels]).mean(0)

    def map_distances(self, tokens: PatchTokens, config: MemoryConfig) -> Tensor:  # -> (B,N)
        """M_v as the map takes it; Eq. 1 where both switches are off.

        Departure: a token is compared with what the shots show at about its place, so that a
        component that is missing or in another's place is far from everything, and the joint space
        counts as one more level. Its distances are brought to the scale of the others: a level's is
        the mean distance between two tokens of the shots.
        """
        levels = [*zip(tokens.memories, self.levels[:-1], strict=True)]
        found = [_nearest(level, memory, config.radius) for level, memory in levels]
        if config.joint:
            spreads = [_spread(memory) for memory in self.levels]
            scale = torch.stack(spreads[:-1]).mean() / spreads[-1]
            found.append(scale * _nearest(tokens.patches, self.levels[-1], config.radius))
        return torch.stack(found).mean(0).clamp(0, 1)


def _nearest(tokens: Tensor, memory: Tensor, radius: int | None) -> Tensor:
    """(B,N,W), (K,rows,columns,W) -> (B,N), within a radius of rows and columns or anywhere."""
    rows, columns = memory.shape[1:3]
    known = memory.flatten(0, 2)
    similar = []
    for some in torch.split(F.normalize(tokens, dim=-1), CHUNK):
        cosines = some @ known.T  # (b,N,K·N)
        if radius is not None:
            far = ~_near(rows, columns, radius).to(cosines.device)
            by_shot = cosines.view(*cosines.shape[:2], len(memory), -1)
            cosines = by_shot.masked_fill(far[:, None], -torch.inf).flatten(2)
        similar.append(cosines.amax(-1))
    return ((1 - torch.cat(similar)) / 2).clamp(0, 1)


def _near(rows: int, columns: int, radius: int) -> Tensor:
    """(N,N): whether two places lie within the radius of each other in both directions."""
    row = torch.arange(rows).repeat_interleave(columns)
    column = torch.arange(columns).repeat(rows)
    down, across = (row[:, None] - row).abs(), (column[:, None] - column).abs()
    return (down <= radius) & (across <= radius)


def _spread(memory: Tensor) -> Tensor:
    """½ · mean of (1 − cos) over all pairs of tokens."""
    return (1 - memory.flatten(0, 2).mean(0).square().sum()) / 2
