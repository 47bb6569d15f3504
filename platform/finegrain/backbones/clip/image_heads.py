"""The trained parts on top of a frozen convolutional tower: patch projection and class pooling.

B images, N patches on a G×G grid, W tower width (its levels side by side), D joint width.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finegrain.backbones.clip.text_tower import attend


@dataclass(frozen=True)
class HeadConfig:
    """Sizes of the image heads; `grid` is the side of the token grid."""

    width: int = 472
    hidden: int = 512
    around: int = 96  # of what a patch sees of its neighbours
    grid: int = 15
    queries: int = 4
    heads: int = 8
    cells: int = 5  # a side, of the map for the class token
    cell_width: int = 48
    join: int = 384  # of the layer that joins queries and map


class PatchProjection(nn.Module):
    """Two layers on every patch; a narrow path beside the first looks 3 patches far around.

    It knows no position, so that a moved component keeps its features.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, config: HeadConfig, embed_dim: int) -> None:
        super().__init__()
        self.grid = config.grid
        self.register_buffer("mean", torch.zeros(config.width))
        self.register_buffer("scale", torch.ones(config.width))
        self.first = nn.Linear(config.width, config.hidden)
        self.narrow = nn.Linear(config.hidden, config.around)
        self.near = _neighbours(config.around, 1)
        self.far = _neighbours(config.around, 2)
        self.second = nn.Linear(config.hidden + 2 * config.around, embed_dim)

    def standardise(self, features: Tensor) -> None:
        """Take each feature's mean and deviation from a sample (..., W) of the training set."""
        sample = features.float().flatten(0, -2)
        self.mean.copy_(sample.mean(0))
        self.scale.copy_(1 / sample.std(0).clamp(min=1e-3))

    def forward(self, features: Tensor) -> Tensor:  # (B,N,W) -> (B,N,D), not normalised
        """The tower's levels in the joint space."""
        x = F.gelu(self.first((features - self.mean) * self.scale))
        square = self.narrow(x).transpose(1, 2).reshape(len(x), -1, self.grid, self.grid)
        near = F.gelu(self.near(square))
        around = torch.cat([near, F.gelu(self.far(near))], 1).flatten(2).transpose(1, 2)
        return self.second(torch.cat([x, around], -1))  # type: ignore[no-any-return]


def _neighbours(width: int, reach: int) -> nn.Conv2d:
    """The eight patches that lie `reach` away."""
    return nn.Conv2d(width, width, 3, padding=reach, dilation=reach, padding_mode="replicate")


class ClassPooling(nn.Module):
    """The class token: what learned queries gather, and a coarse map of what lies where.

    Patches get their positions here and nowhere else. The map is what tells places: with the
    queries alone, places stayed near chance.
    """

    def __init__(self, config: HeadConfig, embed_dim: int) -> None:
        super().__init__()
        self.grid, self.cells, self.heads = config.grid, config.cells, config.heads
        self.positions = nn.Parameter(torch.randn(config.grid**2, embed_dim) * 0.3)
        self.queries = nn.Parameter(torch.randn(config.queries, embed_dim) * 0.5)
        self.ln = nn.LayerNorm(embed_dim)
        self.key_value = nn.Linear(embed_dim, 2 * embed_dim)
        self.cell = nn.Linear(embed_dim, config.cell_width)
        width = config.queries * embed_dim + config.cells**2 * config.cell_width
        self.join = nn.Sequential(
            nn.Linear(width, config.join), nn.GELU(), nn.Linear(config.join, embed_dim)
        )

    def forward(self, patches: Tensor) -> Tensor:  # (B,N,D) -> (B,D), not normalised
        """One vector an image, from its projected patches."""
        x = self.ln(patches)
        queried, mapped = self._queried(x + self.positions), self._mapped(x)
        return self.join(torch.cat([queried, mapped], -1))  # type: ignore[no-any-return]

    def _queried(self, x: Tensor) -> Tensor:  # (B,N,D) -> (B,Q·D)
        k, v = self.key_value(x).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        q = self.queries.view(len(self.queries), self.heads, -1).transpose(0, 1)  # (H,Q,D/H)
        q = q.to(k.dtype).expand(len(x), -1, -1, -1)
        return attend(q, k, v).transpose(1, 2).flatten(1)

    def _mapped(self, x: Tensor) -> Tensor:  # (B,N,D) -> (B,cells²·C)
        square = F.gelu(self.cell(x)).transpose(1, 2).reshape(len(x), -1, self.grid, self.grid)
        return F.adaptive_avg_pool2d(square, self.cells).flatten(1)
