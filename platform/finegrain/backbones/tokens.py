"""What a frozen backbone says about a batch of images.

B images, N = grid[0]·grid[1] patches, D width of the (joint) token space, W_l width of memory l,
n_s windows of scale s.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class PatchTokens:
    """The tokens of B images; every detector scores these and nothing else.

    Args:
        image: (B,D) class token, unit norm.
        patches: (B,N,D) patch tokens in the same space, unit norm, row by row over `grid`.
        memories: one (B,N,W_l) tensor per intermediate level, as the network gives it.
        grid: rows and columns of patches.
        windows: one (B,n_s,D) tensor per scale that was asked for, unit norm, in the joint space.
        ordinary: (B,N,W) what a vision transformer's own last patches are, given with windows.
    """

    image: Tensor
    patches: Tensor
    memories: tuple[Tensor, ...]
    grid: tuple[int, int]
    windows: tuple[Tensor, ...] = ()
    ordinary: Tensor | None = None

    def __post_init__(self) -> None:
        count, patches, width = self.patches.shape
        if patches != self.grid[0] * self.grid[1]:
            raise ValueError(f"{patches} patches do not fill a grid of {self.grid}")
        if self.image.shape != (count, width):
            raise ValueError(f"image tokens are {tuple(self.image.shape)}, not {(count, width)}")
        for level, memory in enumerate(self.memories):
            if memory.shape[:2] != (count, patches):
                raise ValueError(
                    f"memory {level} is {tuple(memory.shape)}, not ({count}, {patches}, width)"
                )
        for scale, window in enumerate(self.windows):
            if (len(window), window.shape[-1]) != (count, width):
                raise ValueError(
                    f"windows {scale} are {tuple(window.shape)}, not ({count}, windows, {width})"
                )

    def __len__(self) -> int:
        return self.image.shape[0]

    @property
    def nbytes(self) -> int:
        """The memory that they take."""
        levels = (self.image, self.patches, *self.memories, *self.windows)
        ordinary = () if self.ordinary is None else (self.ordinary,)
        return sum(level.nbytes for level in (*levels, *ordinary))

    def __getitem__(self, rows: slice) -> "PatchTokens":
        """The tokens of some of the images."""
        return PatchTokens(
            self.image[rows],
            self.patches[rows],
            tuple(memory[rows] for memory in self.memories),
            self.grid,
            tuple(window[rows] for window in self.windows),
            None if self.ordinary is None else self.ordinary[rows],
        )

    @staticmethod
    def concatenate(batches: "list[PatchTokens]") -> "PatchTokens":
        """One PatchTokens of several batches that share a grid, in their order."""
        if not batches:
            raise ValueError("concatenate needs at least one batch of tokens")
        ordinary = [batch.ordinary for batch in batches if batch.ordinary is not None]
        return PatchTokens(
            torch.cat([batch.image for batch in batches]),
            torch.cat([batch.patches for batch in batches]),
            _joined([batch.memories for batch in batches]),
            batches[0].grid,
            _joined([batch.windows for batch in batches]),
            torch.cat(ordinary) if ordinary else None,
        )


def unit_joined(levels: Sequence[Tensor]) -> Tensor:  # (B,N,W_l) each -> (B,N,ΣW_l)
    """Levels side by side, each of unit norm first, and of unit norm together."""
    return F.normalize(torch.cat([F.normalize(level, dim=-1) for level in levels], -1), dim=-1)


def _joined(batches: list[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """Level by level."""
    return tuple(torch.cat(levels) for levels in zip(*batches, strict=True))
