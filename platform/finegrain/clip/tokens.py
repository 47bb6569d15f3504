"""What a frozen backbone says about a batch of images.

B images, N = grid[0]·grid[1] patches, D width of the (joint) token space, W_l width of memory l.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PatchTokens:
    """The tokens of B images; every detector scores these and nothing else.

    Args:
        image: (B,D) class token, unit norm.
        patches: (B,N,D) patch tokens in the same space, unit norm, row by row over `grid`.
        memories: one (B,N,W_l) tensor per intermediate level, as the network gives it.
        grid: rows and columns of patches.
    """

    image: Tensor
    patches: Tensor
    memories: tuple[Tensor, ...]
    grid: tuple[int, int]

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

    def __len__(self) -> int:
        return self.image.shape[0]

    def __getitem__(self, rows: slice) -> "PatchTokens":
        """The tokens of some of the images."""
        return PatchTokens(
            self.image[rows],
            self.patches[rows],
            tuple(memory[rows] for memory in self.memories),
            self.grid,
        )

    @staticmethod
    def concatenate(batches: "list[PatchTokens]") -> "PatchTokens":
        """One PatchTokens of several batches that share a grid, in their order."""
        if not batches:
            raise ValueError("concatenate needs at least one batch of tokens")
        return PatchTokens(
            torch.cat([batch.image for batch in batches]),
            torch.cat([batch.patches for batch in batches]),
            tuple(
                torch.cat(levels)
                for levels in zip(*(batch.memories for batch in batches), strict=True)
            ),
            batches[0].grid,
        )
