"""Narrow and tall parts: an image keeps its aspect ratio within the square that a backbone sees.

The image fills whole rows of patches in the middle of the square, its border is repeated around it,
and the patches of the padding are left out of the tokens. So nothing that learns, scores, maps or
calibrates ever sees them: `grid` is the image's own, and a map of it covers the image and no more.
The class token alone has seen the padding.

B images, S side of the square, H × W the patches of the square, h × w those of the image.
"""

import copy
import math
from collections.abc import Sequence
from statistics import median
from typing import Literal, Protocol, TypeVar, runtime_checkable

import torch.nn.functional as F
from torch import Tensor

from finegrain.backbones.backbone import Backbone, RgbImage
from finegrain.backbones.tokens import PatchTokens
from finegrain.backbones.windows import Windows

Resize = Literal["auto", "fit", "squash"]
NARROW = 4.0  # longer over shorter side from which "auto" is "fit": docs/own-data.md has why
FEWEST = 3  # patches across a part however narrow: a smaller side is enlarged to that

B = TypeVar("B", bound=Backbone)


@runtime_checkable
class Gridded(Backbone, Protocol):
    """A backbone whose patches lie on a known grid, so that an image may fill a part of it."""

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches of the square."""
        ...


def shots_aspect(resize: Resize, shots: Sequence[RgbImage]) -> float | None:
    """Width over height that a part's images are brought to; None where they are squashed.

    Args:
        resize: "auto" is "fit" where the shots are NARROW or more.
        shots: of the part; the median of their aspect ratios counts. Without any there is nothing
            to tell, and images are squashed.
    """
    if resize == "squash" or not shots:
        return None
    logs = [math.log(shot.shape[1] / shot.shape[0]) for shot in shots]
    aspect = round(math.exp(median(logs)), 4)
    narrow = max(aspect, 1 / aspect) >= NARROW
    return aspect if narrow or resize == "fit" else None


def framed(backbone: B, aspect: float | None) -> B:
    """The backbone for images of that aspect ratio (width over height); it shares the weights.

    It is the backbone itself where images are to be squashed, where they fill the square anyway,
    and where it has no grid: anomalib's models take square images alone.
    """
    if aspect is None or not isinstance(backbone, Gridded):
        return backbone
    if content(backbone.grid, aspect) == backbone.grid:
        return backbone
    view = copy.copy(backbone)
    kind = type(backbone)
    view.__class__ = type(kind.__name__, (_Framed, kind), {})
    view.aspect = aspect  # type: ignore[attr-defined]
    return view


def aspect_of(backbone: Backbone) -> float | None:
    """The aspect ratio that a backbone was framed for; None where it squashes."""
    return backbone.aspect if isinstance(backbone, _Framed) else None


def content(grid: tuple[int, int], aspect: float) -> tuple[int, int]:
    """h × w of an image of that aspect ratio: whole patches, FEWEST a side where there are some."""
    rows, columns = grid
    return (
        min(rows, max(FEWEST, round(rows * min(1.0, 1 / aspect)))),
        min(columns, max(FEWEST, round(columns * min(1.0, aspect)))),
    )


class _Framed:
    """What `framed` puts before a backbone's own class."""

    aspect: float
    grid: tuple[int, int]

    def encode_images(self, pixels: Tensor, windows: Windows | None = None) -> PatchTokens:
        """(B,3,S,S) of squashed images -> the tokens of their own patches."""
        inner = content(self.grid, self.aspect)
        tokens = super().encode_images(padded(pixels, self.grid, inner), windows)  # type: ignore[misc]
        return cropped(tokens, inner, windows)


def padded(pixels: Tensor, grid: tuple[int, int], inner: tuple[int, int]) -> Tensor:
    """(B,3,S,S) squashed -> (B,3,S,S): brought to `inner` of `grid`, its border repeated around."""
    sides = pixels.shape[-2:]
    size = [side * part // whole for side, part, whole in zip(sides, inner, grid, strict=True)]
    small = F.interpolate(pixels, size, mode="bicubic", antialias=True, align_corners=False)
    edges: list[int] = []  # the last dimension's come first
    for side, part, whole in reversed(list(zip(sides, inner, grid, strict=True))):
        before = side * ((whole - part) // 2) // whole
        edges += [before, side - before - side * part // whole]
    return F.pad(small, edges, mode="replicate")


def cropped(
    tokens: PatchTokens, inner: tuple[int, int], windows: Windows | None = None
) -> PatchTokens:
    """The tokens of the patches, and of the windows, that lie within the image."""
    grid = tokens.grid

    def kept(level: Tensor, scale: int = 1) -> Tensor:  # places of windows of that scale
        rows, columns = (side - scale + 1 for side in grid)
        top, left = ((whole - part) // 2 for whole, part in zip(grid, inner, strict=True))
        down, across = (max(0, part - scale + 1) for part in inner)
        square = level.view(len(level), rows, columns, -1)
        return square[:, top : top + down, left : left + across].flatten(1, 2)

    scales = windows.scales if windows else ()
    return PatchTokens(
        tokens.image,
        kept(tokens.patches),
        tuple(kept(memory) for memory in tokens.memories),
        inner,
        tuple(kept(level, scale) for level, scale in zip(tokens.windows, scales, strict=True)),
        None if tokens.ordinary is None else kept(tokens.ordinary),
    )
