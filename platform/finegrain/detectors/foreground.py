"""Which patches of an image show its object, from the tokens of that image alone.

B images, N patches, W width of tokens.
"""

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor

BORDER = 0.2  # of a side, outside the centre where the object is expected
NEIGHBOURS = np.ones((3, 3), dtype=bool)


def foreground(tokens: Tensor, grid: tuple[int, int]) -> Tensor:  # (B,N,W) -> (B,N) bool
    """Patches on the centre's side of the first principal component, enlarged by one and closed.

    Departure: AnomalyDINO keeps what exceeds 10 on that component of unnormalised DINOv2 tokens.
    Unit-norm tokens of any backbone have no such bound, so it is their mean here, and the side is
    the one towards which the centre lies.
    """
    components = (_first_component(image).reshape(grid) for image in tokens)
    masks = [_closed(_centre_side(component)) for component in components]
    return torch.from_numpy(np.stack(masks)).flatten(1).to(tokens.device)


def _first_component(tokens: Tensor) -> npt.NDArray[np.float32]:  # (N,W) -> (N,)
    centred = tokens - tokens.mean(0)
    left, strengths, _ = torch.linalg.svd(centred, full_matrices=False)
    return (left[:, 0] * strengths[0]).cpu().numpy()  # type: ignore[no-any-return]


def _centre_side(component: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Where the component, whose mean over the image is 0, has the sign of its central mean."""
    rows, columns = (round(BORDER * side) for side in component.shape)
    centre = component[rows : component.shape[0] - rows, columns : component.shape[1] - columns]
    return component > 0 if centre.mean() >= 0 else component < 0


def _closed(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    dilated = ndimage.binary_dilation(mask, NEIGHBOURS)
    padded = np.pad(dilated, 1, mode="edge")  # else closing would eat into the border
    closed: npt.NDArray[np.bool_] = ndimage.binary_closing(padded, NEIGHBOURS)[1:-1, 1:-1]
    return closed
