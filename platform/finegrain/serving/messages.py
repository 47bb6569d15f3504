"""What travels between the deployments; tokens as fp16 arrays where they fit, pictures as files.

B images of a request that could be read, N patches, D and W_l widths as in PatchTokens.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from finegrain.backbones import PatchTokens, RgbImage
from finegrain.decision import Thresholds, Verdict

NO_SCORE = "no_score"  # the code of a Refusal: the detector's scores are no finite numbers
Transported = npt.NDArray[np.float16 | np.float32]


@dataclass(frozen=True)
class Refusal:
    """Why a request, or one image of it, gets no score; `status` is HTTP's."""

    status: int
    code: str
    message: str


class ServiceError(Exception):
    """A request that gets no score.

    Args:
        refusal: status, code and message.
        retry_after: seconds after which another try makes sense.
    """

    def __init__(self, refusal: Refusal, retry_after: int | None = None) -> None:
        super().__init__(refusal.message)
        self.refusal, self.retry_after = refusal, retry_after


@dataclass(frozen=True)
class ReadImage:
    """What is left of an image beside its tokens; the preview only where pictures are due."""

    width: int
    height: int
    preview: RgbImage | None = None


@dataclass(frozen=True)
class EncodedImages:
    """A request's images as the encoder leaves them.

    Args:
        images: all of the request in their order; the readable ones have a row in the arrays.
        class_tokens: (B,D).
        patches: (B,N,D).
        memories: (B,N,W_l) each.
        grid: rows and columns of patches.
        backbone: name and weights' hash.
        aspect: that the images were brought to, width over height; None: squashed.
        batch_images: size of the batch that the first image was encoded in.
    """

    images: tuple[ReadImage | Refusal, ...]
    class_tokens: Transported
    patches: Transported
    memories: tuple[Transported, ...]
    grid: tuple[int, int]
    backbone: tuple[str, str]
    decode_ms: float
    encode_ms: float
    batch_images: int
    aspect: float | None = None

    def tokens(self) -> PatchTokens:
        """Float32 again, ready to be scored."""
        image, patches, *memories = (
            torch.from_numpy(x.astype(np.float32))
            for x in (self.class_tokens, self.patches, *self.memories)
        )
        return PatchTokens(image, patches, tuple(memories), self.grid)


def halved(tokens: PatchTokens) -> dict[str, Any]:
    """The arrays of EncodedImages."""
    return {
        "class_tokens": _half(tokens.image),
        "patches": _half(tokens.patches),
        "memories": tuple(_half(memory) for memory in tokens.memories),
        "grid": tokens.grid,
    }


def _half(values: torch.Tensor) -> Transported:
    """Half precision, unless a value is too large for it and would become infinite."""
    half = values.half()
    return np.asarray((half if half.isfinite().all() else values.float()).cpu())


@dataclass(frozen=True)
class ScoredImages:
    """A request's verdicts, in its order, and who made them.

    Args:
        images: without maps, unless they were asked for.
        pictures: of each image, PNG files by name.
        refused: why a newer champion is not used.
        thresholds: that decided.
    """

    images: tuple[Verdict | Refusal, ...]
    pictures: tuple[dict[str, bytes], ...]
    version: str
    detector: str
    refused: str | None
    decode_ms: float
    encode_ms: float
    score_ms: float
    batch_images: int
    thresholds: Thresholds | None = None


@dataclass(frozen=True)
class Preview:
    """What is seen in the photos.

    Args:
        faults: of photos, in words.
        caption: as YAML, given or else made from the photos; None for a method that reads none.
        pictures: K PNG files, each photo with its regions; none without a caption.
    """

    faults: tuple[str, ...]
    caption: str | None = None
    pictures: tuple[bytes, ...] = ()
