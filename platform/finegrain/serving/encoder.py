"""Image files -> tokens: every image decoded once and encoded once, whatever is asked of it."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from finegrain.backbones import Backbone, PatchTokens, RgbImage, framed
from finegrain.data.images import decode_rgb
from finegrain.errors import ImageError, ImageFormatError, ImageSizeError
from finegrain.serving.messages import EncodedImages, ReadImage, Refusal, halved

PREVIEW_SIDE = 640  # pixels
Prepared = tuple[ReadImage, Tensor] | Refusal
Item = tuple[Tensor, float | None]


class Encoder:
    """A backbone with what stands around it.

    Args:
        backbone: frozen.
        threads: torch's share of the cores in this process.
    """

    def __init__(self, backbone: Backbone, threads: int) -> None:
        torch.set_num_threads(threads)
        self.backbone = backbone
        self.identity = (backbone.name, backbone.weights_hash)
        blank = self._pixels(np.zeros((64, 64, 3), np.uint8))
        self.encode([(blank, None)])  # first use fills caches

    def prepare(self, images: Sequence[bytes], *, preview: bool) -> list[Prepared]:
        """Decoded images, ready to be encoded, or why one is not."""
        return [self._prepare(image, i, preview) for i, image in enumerate(images)]

    def encode(self, items: Sequence[Item]) -> list[PatchTokens]:
        """(3,S,S) and its part's aspect ratio each -> tokens of one image each.

        In one pass, but for narrow parts: those of one shape are in one pass.
        """
        found: dict[int, PatchTokens] = {}
        for shape in dict.fromkeys(aspect for _, aspect in items):
            places = [place for place, (_, aspect) in enumerate(items) if aspect == shape]
            with torch.no_grad():
                pixels = torch.stack([items[place][0] for place in places])
                tokens = framed(self.backbone, shape).encode_images(pixels)
            found |= {place: tokens[i : i + 1] for i, place in enumerate(places)}
        return [found[place] for place in range(len(items))]

    def gathered(
        self,
        prepared: Sequence[Prepared],
        tokens: Sequence[PatchTokens],
        *,
        aspect: float | None,
        decode_ms: float,
        encode_ms: float,
        batch_images: int,
    ) -> EncodedImages | Refusal:
        """The message to the scorer; the first refusal where no image could be read."""
        if not tokens:
            return next(item for item in prepared if isinstance(item, Refusal))
        return EncodedImages(
            images=tuple(item if isinstance(item, Refusal) else item[0] for item in prepared),
            backbone=self.identity,
            aspect=aspect,
            decode_ms=decode_ms,
            encode_ms=encode_ms,
            batch_images=batch_images,
            **halved(PatchTokens.concatenate(list(tokens))),
        )

    def _prepare(
        self, data: bytes, index: int, preview: bool
    ) -> tuple[ReadImage, Tensor] | Refusal:
        try:
            image = decode_rgb(data, f"image {index + 1}")
        except ImageError as error:
            return image_refusal(error)
        height, width = image.shape[:2]
        read = ReadImage(width, height, _reduced(image) if preview else None)
        return read, self._pixels(image)

    def _pixels(self, image: RgbImage) -> Tensor:
        return self.backbone.preprocess([image])[0]


def image_refusal(error: ImageError) -> Refusal:
    """413 for what is too large, 415 for what is no image, 422 for what is damaged."""
    if isinstance(error, ImageSizeError):
        return Refusal(413, "image_size", str(error))
    if isinstance(error, ImageFormatError):
        return Refusal(415, "not_an_image", str(error))
    return Refusal(422, "undecodable", str(error))


def _reduced(image: RgbImage) -> RgbImage:
    small = Image.fromarray(image)
    small.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    return np.asarray(small)
