"""Images turned, shifted and zoomed: what fits a few shots a little more, or tests what was fitted.

H, W height and width.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

SIDE = 512  # pixels to which larger images are reduced first

Pixels = npt.NDArray[np.uint8]  # (H,W,3) RGB


def reduced(image: Pixels) -> Tensor:  # -> (1,3,H,W), 0 to 1
    """An image no larger than SIDE, ready to be warped."""
    small = Image.fromarray(image)
    small.thumbnail((SIDE, SIDE))
    return torch.from_numpy(np.array(small)).permute(2, 0, 1)[None].float() / 255


def warped(
    pixels: Tensor, degrees: float, zoom: float = 1.0, shift: tuple[float, float] = (0.0, 0.0)
) -> Tensor:  # (1,3,H,W) -> (3,H,W)
    """The image turned around its centre, what comes in from outside mirrored at the border.

    Args:
        pixels: as `reduced` gives them.
        degrees: counter-clockwise.
        zoom: of what is seen; above 1 the content shrinks.
        shift: right and down, in shares of the sides.
    """
    height, width = pixels.shape[-2:]
    angle = np.deg2rad(degrees)
    right, down = 2 * shift[0], 2 * shift[1]  # grid coordinates span 2
    cosine, sine, aspect = np.cos(angle) * zoom, np.sin(angle) * zoom, height / width
    pose = [[cosine, -sine * aspect, right], [sine / aspect, cosine, down]]
    grid = F.affine_grid(torch.tensor([pose]).float(), list(pixels.shape), align_corners=False)
    return F.grid_sample(pixels, grid, padding_mode="reflection", align_corners=False)[0]


def to_rgb(pixels: Tensor) -> Pixels:  # (3,H,W) -> (H,W,3)
    """Pixels from 0 to 1 as an image; what lies outside is clipped."""
    return np.asarray((pixels.clamp(0, 1) * 255).round().byte().permute(1, 2, 0))


def rotations(image: Pixels, degrees: Sequence[float]) -> list[Pixels]:
    """The image turned by each angle; by 0 it is the image itself."""
    small = reduced(image)
    return [to_rgb(warped(small, angle)) if angle else image for angle in degrees]
