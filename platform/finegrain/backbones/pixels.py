"""The image itself as tokens, one a pixel, for detectors that bring an encoder of their own.

So they go the same way as all the others: encoded once a worker, calibrated, scored, stored.

B images of S × S pixels, N = S².
"""

import hashlib
import re
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from finegrain.backbones.backbone import RgbImage
from finegrain.backbones.tokens import PatchTokens
from finegrain.backbones.windows import Windows


class Pixels:
    """A `Backbone` without a network.

    Departure from the other backbones: `patches` (B,N,3) are RGB from 0 to 1, not of unit norm,
    and there are no memories, so only detectors of whole images can be fitted on it.
    """

    def __init__(self, device: torch.device | str = "cpu", image_size: int = 256) -> None:
        self.device = torch.device(device)
        self.image_size = image_size
        self.name = self.name_of(image_size)
        self.weights_hash = hashlib.sha256(self.name.encode()).hexdigest()

    @staticmethod
    def name_of(side: int) -> str:
        """What it is called for images of that side."""
        return f"pixels-{side}"

    @staticmethod
    def side_of(name: str) -> int | None:
        """S of a name that `Pixels` gives itself; None for other names."""
        match = re.fullmatch(r"pixels-([1-9]\d*)", name)
        return int(match[1]) if match else None

    def preprocess(self, images: Sequence[RgbImage]) -> Tensor:
        """RGB images of any size -> (B,3,S,S) from 0 to 1; bilinear with antialiasing."""
        size = (self.image_size, self.image_size)
        resized = [Image.fromarray(i).resize(size, Image.Resampling.BILINEAR) for i in images]
        stacked = torch.from_numpy(np.stack([np.asarray(image) for image in resized]))
        return stacked.to(self.device).permute(0, 3, 1, 2).float() / 255

    def encode_images(self, pixels: Tensor, windows: Windows | None = None) -> PatchTokens:
        """(B,3,S,S) -> tokens; `image` is the mean colour. Windows are for others, and left out."""
        patches = pixels.flatten(2).transpose(1, 2)
        return PatchTokens(patches.mean(1), patches, (), (pixels.shape[2], pixels.shape[3]))


def to_images(tokens: PatchTokens) -> Tensor:
    """The (B,3,S,S) that `Pixels` made tokens of."""
    images = tokens.patches.transpose(1, 2).reshape(len(tokens), 3, *tokens.grid)
    return images.contiguous()  # some networks take views of what they make of it
