"""Square windows of patches: where they lie, and their tokens from a model that pools patches.

N patches on a grid, n windows of one scale, k patches a side, D joint width.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from finegrain.errors import ConfigError


@dataclass(frozen=True)
class Windows:
    """Which windows an encoder is asked for beside an image's patches.

    Args:
        scales: sides of the windows in patches; a window lies at every place where it fits.
        shared: a vision transformer gives each window a class token that sees its patches as they
            are within the whole image, instead of running each window through all blocks alone.
    """

    scales: tuple[int, ...] = (2, 3)
    shared: bool = False

    def __post_init__(self) -> None:
        if not self.scales or min(self.scales) < 1 or len(set(self.scales)) < len(self.scales):
            raise ConfigError(
                f"scales are different sides of windows, from 1 patch up; got {self.scales}"
            )


@lru_cache(maxsize=16)
def members(grid: tuple[int, int], scale: int) -> Tensor:  # (n,k²)
    """The patches of each window, windows and patches row by row."""
    if scale > min(grid):
        raise ConfigError(
            f"a window of {scale} patches a side does not fit a grid of {grid[0]} x {grid[1]}; "
            "choose smaller scales, or --resize squash for a narrow part"
        )
    places = torch.arange(grid[0] * grid[1]).view(grid)
    return places.unfold(0, scale, 1).unfold(1, scale, 1).reshape(-1, scale * scale)


@lru_cache(maxsize=16)
def cover(grid: tuple[int, int], scale: int) -> Tensor:  # (n,N)
    """Whether a window covers a patch."""
    patches = members(grid, scale)
    covered = torch.zeros(len(patches), grid[0] * grid[1], dtype=torch.bool)
    return covered.scatter_(1, patches, True)


def covers(grid: tuple[int, int], scales: tuple[int, ...]) -> Tensor:  # (n of all scales,N)
    """`cover` of one scale after the other."""
    return torch.cat([cover(grid, scale) for scale in scales])


def pooled(
    patches: Tensor, grid: tuple[int, int], scales: tuple[int, ...]
) -> tuple[Tensor, ...]:  # (B,N,D) -> (B,n,D) a scale
    """Each window's mean over its patches, unit norm."""
    square = patches.transpose(1, 2).reshape(len(patches), -1, *grid)
    means = (F.avg_pool2d(square, scale, stride=1).flatten(2).transpose(1, 2) for scale in scales)
    return tuple(F.normalize(mean, dim=-1) for mean in means)
