"""Whether two images are nearly the same picture: copied, re-encoded, resized or lighter.

Two measures must agree. The 64-bit perceptual hash compares layouts, and is noise on an even
texture; the difference of small grey versions compares tones, and is small between any two images
of an even texture.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.fft import dctn

SIDE, WAVES = 32, 8
MAX_BITS = 6  # of 64; unrelated images differ by 32, a JPEG of quality 60 or half the size by 4
MAX_LEVELS = (
    2.0  # of 255; good parts of one category differ by 5 or more, such copies by less than 1
)


@dataclass(frozen=True)
class Look:
    """What of an image is compared: bits (64,), tones (32,32) in grey levels around their mean."""

    bits: npt.NDArray[np.bool_]
    tones: npt.NDArray[np.float32]

    def bits_apart(self, other: "Look") -> int:
        """The bits of the hash that differ."""
        return int((self.bits != other.bits).sum())

    def levels_apart(self, other: "Look") -> float:
        """The mean absolute difference of the small grey versions, in levels of 255."""
        return float(np.abs(self.tones - other.tones).mean())

    def like(self, other: "Look") -> bool:
        """Whether both measures say that it is the same picture."""
        return self.bits_apart(other) <= MAX_BITS and self.levels_apart(other) <= MAX_LEVELS


def look(image: npt.NDArray[np.uint8]) -> Look:  # (H,W,3)
    """The hash: signs, about their median, of the 8x8 lowest DCT coefficients of 32x32 greys."""
    grey = Image.fromarray(image).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    tones = np.asarray(grey, dtype=np.float32)
    waves = dctn(tones, norm="ortho")[:WAVES, :WAVES].ravel()
    return Look(waves > np.median(waves), tones - tones.mean())
