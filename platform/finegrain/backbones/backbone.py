"""The face that every frozen image model shows to the detectors."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from finegrain.backbones.tokens import PatchTokens
from finegrain.backbones.windows import Windows

RgbImage = npt.NDArray[np.uint8]  # (H,W,3)


class Backbone(Protocol):
    """A frozen image encoder; `weights_hash` says which weights made a checkpoint's features."""

    @property
    def name(self) -> str:
        """The name under which `load_backbone` makes it again."""
        ...

    @property
    def weights_hash(self) -> str:
        """SHA-256 over its parameters."""
        ...

    @property
    def device(self) -> torch.device:
        """Where `encode_images` computes."""
        ...

    def preprocess(self, images: Sequence[RgbImage]) -> Tensor:
        """RGB images of any size -> (B,3,S,S), resized and normalised, on the device."""
        ...

    def encode_images(self, pixels: Tensor, windows: Windows | None = None) -> PatchTokens:
        """(B,3,S,S) from `preprocess` -> the tokens of B images, with those windows."""
        ...


@runtime_checkable
class Convolutional(Backbone, Protocol):
    """A backbone whose levels are the stages of a convolutional network, the finest first."""

    @property
    def level_strides(self) -> tuple[int, ...]:
        """Pixels from one place to the next in each stage, before all are put on one grid."""
        ...


@dataclass(frozen=True)
class RemoteBackbone:
    """A backbone that encodes elsewhere: what a detector needs of it to score its tokens."""

    name: str
    weights_hash: str
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def preprocess(self, images: Sequence[RgbImage]) -> Tensor:
        """RuntimeError: images are encoded elsewhere."""
        raise RuntimeError(f"{self.name} encodes elsewhere; here its tokens are only scored")

    def encode_images(self, pixels: Tensor, windows: Windows | None = None) -> PatchTokens:
        """RuntimeError: images are encoded elsewhere."""
        raise RuntimeError(f"{self.name} encodes elsewhere; here its tokens are only scored")


def resize_square(image: RgbImage, side: int) -> RgbImage:
    """Bicubic resize to side × side with antialiasing; the aspect ratio is given up."""
    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC))


def normalise(images: Sequence[RgbImage], side: int, mean: Tensor, std: Tensor) -> Tensor:
    """RGB images -> (B,3,side,side) float32; mean and std (3,) are on a 0-1 scale."""
    if not images:
        raise ValueError("preprocess needs at least one image")
    stacked = np.stack([resize_square(image, side) for image in images])
    pixels = torch.from_numpy(stacked).to(mean.device).permute(0, 3, 1, 2).float() / 255
    return (pixels - mean.view(3, 1, 1)) / std.view(3, 1, 1)


def encode(
    backbone: Backbone,
    images: Sequence[RgbImage],
    batch_size: int = 8,
    windows: Windows | None = None,
) -> PatchTokens:
    """The tokens of all images, encoded `batch_size` at a time without gradient."""
    if not images:
        raise ValueError("encode needs at least one image")
    batches = (images[i : i + batch_size] for i in range(0, len(images), batch_size))
    with torch.no_grad():
        return PatchTokens.concatenate(
            [backbone.encode_images(backbone.preprocess(batch), windows) for batch in batches]
        )
