"""From one score a patch to a smooth map over the image.

Bilinear interpolation and Gaussian smoothing are both linear and act on rows and columns alike, so
together they are one (S,n) matrix on either side: map = A · patches · Aᵀ.
"""

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from finegrain.data.masks import MAP_SIZE

SIGMA_PX = 4.0


def to_pixels(scores: Tensor, grid: tuple[int, int]) -> Tensor:  # (B,N) -> (B,S,S)
    """Interpolate patch scores bilinearly to S × S and smooth them with a Gaussian of SIGMA_PX."""
    rows, columns = grid
    left = _upsampling(rows).to(scores)
    right = _upsampling(columns).to(scores)
    return left @ scores.reshape(-1, rows, columns) @ right.T


def tail_mean(scores: Tensor, share: float) -> Tensor:  # (B,N) -> (B,)
    """The mean of each image's highest scores, of that share of its patches but one at least."""
    count = max(1, int(share * scores.shape[1]))
    return scores.topk(count, dim=1).values.mean(1)


@lru_cache(maxsize=8)
def _upsampling(patches: int) -> Tensor:  # (S,patches)
    """The matrix of both steps; a Gaussian reaching over the border mirrors the map."""
    identity = torch.eye(patches, dtype=torch.float64)[None]
    bilinear = F.interpolate(identity, MAP_SIZE, mode="linear", align_corners=False)[0].T
    return torch.from_numpy(np.ascontiguousarray(gaussian_filter1d(bilinear, SIGMA_PX, axis=0)))
