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
    """The shots' tokens of unit norm, level by level.

    The last level is the joint space's, the others are the tower's.

    Args:
        levels: (K,rows,columns,W_l) each, where they lie.
        turned: (K,M,W_l) each, of the shots' turned copies, which lie nowhere; may be none.
        of_more: the memory of more shots, of which these are those at the places `kept`; what is
            usual is told by all of them.
        kept: (K,) places among those shots.
    """

    levels: tuple[Tensor, ...]
    turned: tuple[Tensor, ...] = ()
    of_more: "VisualMemory | None" = None
    kept: tuple[int, ...] = ()

    @staticmethod
    def of(shots: PatchTokens, turned: PatchTokens | None = None) -> "VisualMemory":
        """Remember all tokens of the shots, and of their turned copies, shot by shot."""
        count = len(shots)
        levels = (level.view(count, *shots.grid, -1) for level in _levels(shots))
        copies = _levels(turned) if turned is not None else ()
        return VisualMemory(
            tuple(levels), tuple(level.reshape(count, -1, level.shape[-1]) for level in copies)
        )

    @cached_property
    def usual(self) -> tuple[Tensor, ...]:
        """(K,N) a level, how far a token is from the most similar one of the other shots.

        0 for a single shot, which does not say.
        """
        if self.of_more:
            return tuple(level[list(self.kept)] for level in self.of_more.usual)
        return tuple(map(_from_other_shots, self.levels))

    @cached_property
    def usual_turned(self) -> tuple[Tensor, ...]:
        """(K,M) a level, the same among the turned copies."""
        if self.of_more:
            return tuple(level[list(self.kept)] for level in self.of_more.usual_turned)
        return tuple(map(_from_other_shots, self.turned))

    def without(self, index: int) -> "VisualMemory":
        """The memory of the other shots and their turned copies; what is usual stays known."""
        kept = [i for i in range(len(self.levels[0])) if i != index]
        levels, turned = (
            tuple(level[kept] for level in part) for part in (self.levels, self.turned)
        )
        return VisualMemory(levels, turned, self, tuple(kept))

    def state(self) -> dict[str, Tensor]:
        """The levels by name, for a checkpoint."""
        named = (("memory", self.levels), ("turned", self.turned))
        return {f"{name}.{i}": level for name, of in named for i, level in enumerate(of)}

    @staticmethod
    def of_state(state: Mapping[str, Tensor]) -> "VisualMemory":
        """What `state` gave, among other tensors; KeyError where there is no memory."""
        count, turned = (
            sum(key.startswith(f"{name}.") for key in state) for name in ("memory", "turned")
        )
        return VisualMemory(
            tuple(state[f"memory.{i}"] for i in range(max(count, 1))),
            tuple(state[f"turned.{i}"] for i in range(turned)),
        )

    def distances(self, tokens: PatchTokens) -> Tensor:
        """Eq. 1 (B,N): ½ · min over the memory of (1 − cos), mean over the tower's levels."""
        levels = zip(_levels(tokens)[:-1], self.levels[:-1], strict=True)
        return torch.stack([_nearest(seen, memory, None)[1] for seen, memory in levels]).mean(0)

    def compare(self, tokens: PatchTokens, config: MemoryConfig) -> Tensor:
        """M_v (B,N), in [0, 1], as the map takes it.

        Departures from Eq. 1: it looks among the shots' turned copies too, where there are some; a
        share `near` of it is the distance to what the shots show at about the token's place, so
        that a component that is missing or in another's place is far from more; a token of the
        shots that is itself away from the other shots lies nearer by the share `usual` of that, for
        there good parts differ; the first level, whose features see the least around them, counts
        `finest` times; and the joint space counts as one more level. Its distances are brought to
        the scale of the others: a level's is the mean distance between two tokens of the shots.
        """
        found = []
        radius = config.radius if config.near > 0 else None
        for level, (seen, memory) in enumerate(zip(_levels(tokens), self.levels, strict=True)):
            is_joint = level == len(self.levels) - 1
            if is_joint and not config.joint:
                continue
            known = config.usual * self.usual[level] if config.usual else None
            near, wide = _nearest(seen, memory, radius, known)
            if self.turned:
                known = config.usual * self.usual_turned[level] if config.usual else None
                wide = torch.minimum(wide, _nearest(seen, self.turned[level], None, known)[1])
            mixed = wide if radius is None else config.near * near + (1 - config.near) * wide
            found.append(self._joint_scale * mixed if is_joint else mixed)
        found[0] = config.finest * found[0]
        total = torch.stack(found).sum(0) / (len(found) - 1 + config.finest)
        return total.clamp(0, 1)

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


def _levels(tokens: PatchTokens) -> tuple[Tensor, ...]:
    """The tower's levels, then the joint space, (B,N,W_l) of unit norm."""
    return tuple(F.normalize(level, dim=-1) for level in (*tokens.memories, tokens.patches))


def _nearest(
    tokens: Tensor, memory: Tensor, radius: float | None, known: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """(B,N,W), (K,rows,columns,W) -> twice (B,N): within the radius in rows and columns, anywhere.

    The same twice where the radius is None; the memory need lie on no grid then. `known` (K,N) is
    taken from the distances to each token of the memory.
    """
    every = memory.flatten(0, -2)
    lead = 0 if known is None else 2 * known.flatten()
    near, anywhere = [], []
    for some in torch.split(tokens, CHUNK):
        cosines = some @ every.T + lead  # (b,N,K·N)
        anywhere.append(cosines.amax(-1))
        if radius is not None:
            far = ~_near(memory.shape[1], memory.shape[2], radius).to(cosines.device)
            by_place = cosines.view(*cosines.shape[:2], len(memory), -1).amax(2)  # (b,N,N)
            near.append(by_place.masked_fill(far, -torch.inf).amax(-1))
    distances = [((1 - torch.cat(found)) / 2).clamp(0, 1) for found in (near or anywhere, anywhere)]
    return distances[0], distances[1]


def _from_other_shots(level: Tensor) -> Tensor:  # (K,...,W) -> (K,N)
    """How far each token is from the most similar one of the other shots; 0 for a single shot."""
    shots = level.flatten(1, -2)
    if len(shots) == 1:
        return shots.new_zeros(shots.shape[:2])
    found = []
    for index in range(len(shots)):
        others = torch.cat([shots[:index], shots[index + 1 :]])
        found.append(_nearest(shots[index : index + 1], others, None)[1])
    return torch.cat(found)


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
