"""VAD, the visual memory: how far a token is from everything that the shots show (Eq. 1)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from finegrain.backbones import PatchTokens
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

    def state(self) -> dict[str, Tensor]:
        """The levels by name, for a checkpoint."""
        return {f"memory.{i}": level for i, level in enumerate(self.levels)}

    @staticmethod
    def of_state(state: Mapping[str, Tensor]) -> "VisualMemory":
        """What `state` gave, among other tensors; KeyError where there is no memory."""
        count = sum(name.startswith("memory.") for name in state)
        return VisualMemory(tuple(state[f"memory.{i}"] for i in range(max(count, 1))))

    def compare(self, tokens: PatchTokens, config: MemoryConfig) -> tuple[Tensor, Tensor]:
        """M_v (B,N), in [0, 1], as the map takes it, and as Eq. 1 has it.

        Eq. 1: ½ · min over the memory of (1 − cos), mean over the tower's levels. Departure in the
        map, unless both switches are off: a token is compared with what the shots show at about
        its place, so that a component that is missing or in another's place is far from everything,
        and the joint space counts as one more level. Its distances are brought to the scale of the
        others: a level's is the mean distance between two tokens of the shots.
        """
        levels = zip(tokens.memories, self.levels[:-1], strict=True)
        found = [_nearest(level, memory, config.radius) for level, memory in levels]
        near, anywhere = [pair[0] for pair in found], [pair[1] for pair in found]
        if config.joint:
            joint = _nearest(tokens.patches, self.levels[-1], config.radius)[0]
            near.append(self._joint_scale * joint)
        return torch.stack(near).mean(0).clamp(0, 1), torch.stack(anywhere).mean(0)

    def owners(self, tokens: PatchTokens, of_shots: Tensor, radius: float | None) -> Tensor:
        """What each token shows (B,N): the unit of the shots' most similar token near its place.

        Args:
            tokens: B images.
            of_shots: (K,N) units of the shots' tokens.
            radius: in sides of the image; None looks anywhere.
        """
        memory = self.levels[-1]
        rows, columns = memory.shape[1:3]
        cosines = F.normalize(tokens.patches, dim=-1) @ memory.flatten(0, 2).T  # (B,N,K·N)
        if radius is not None:
            far = ~_near(rows, columns, radius).to(cosines.device)
            cosines = cosines.masked_fill(far.repeat(1, len(memory)), -torch.inf)
        return of_shots.flatten()[cosines.argmax(-1)]

    @cached_property
    def _joint_scale(self) -> Tensor:
        spreads = [_spread(memory) for memory in self.levels]
        return torch.stack(spreads[:-1]).mean() / spreads[-1]


def _nearest(tokens: Tensor, memory: Tensor, radius: float | None) -> tuple[Tensor, Tensor]:
    """(B,N,W), (K,rows,columns,W) -> twice (B,N): within the radius in rows and columns, anywhere.

    The same twice where the radius is None.
    """
    rows, columns = memory.shape[1:3]
    known = memory.flatten(0, 2)
    near, anywhere = [], []
    for some in torch.split(F.normalize(tokens, dim=-1), CHUNK):
        cosines = some @ known.T  # (b,N,K·N)
        anywhere.append(cosines.amax(-1))
        if radius is not None:
            far = ~_near(rows, columns, radius).to(cosines.device)
            by_place = cosines.view(*cosines.shape[:2], len(memory), -1).amax(2)  # (b,N,N)
            near.append(by_place.masked_fill(far, -torch.inf).amax(-1))
    distances = [((1 - torch.cat(found)) / 2).clamp(0, 1) for found in (near or anywhere, anywhere)]
    return distances[0], distances[1]


@lru_cache(maxsize=8)
def _near(rows: int, columns: int, radius: float) -> Tensor:
    """(N,N): whether two places lie within the radius of each other in both directions."""
    row = torch.arange(rows).repeat_interleave(columns)
    column = torch.arange(columns).repeat(rows)
    down, across = (row[:, None] - row).abs(), (column[:, None] - column).abs()
    return (down <= radius * rows) & (across <= radius * columns)


def _spread(memory: Tensor) -> Tensor:
    """½ · mean of (1 − cos) over all pairs of tokens."""
    return (1 - memory.flatten(0, 2).mean(0).square().sum()) / 2
