"""Whether two images are nearly the same picture: copied, re-encoded, resized or lighter.

Small grey versions are compared by two measures that must agree. Their difference is small between
any two images of an even texture, whose correlation is near 0; their correlation is near 1 between
any two images of a part that lies as the other does, whose difference is large.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

SIDE = 32
MAX_LEVELS = 1.25  # of 255; good parts differ by 5 or more, a JPEG or a resized copy by 0.8
MIN_CORRELATION = 0.97  # copies reach 0.99; on an even texture other images reach 0.85


@dataclass(frozen=True)
class Look:
    """What of an image is compared: tones (32,32), grey levels around their mean."""

    tones: npt.NDArray[np.float32]

    def levels_apart(self, other: "Look") -> float:
        """The mean absolute difference, in levels of 255."""
        return float(np.abs(self.tones - other.tones).mean())

    def correlation(self, other: "Look") -> float:
        """From -1 to 1; 0 where an image is of one tone."""
        lengths = float(np.linalg.norm(self.tones) * np.linalg.norm(other.tones))
        return float((self.tones * other.tones).sum()) / lengths if lengths else 0.0

    def like(self, other: "Look") -> bool:
        """Whether both measures say that it is the same picture."""
        near = self.levels_apart(other) <= MAX_LEVELS
        return near and self.correlation(other) >= MIN_CORRELATION


def look(image: npt.NDArray[np.uint8]) -> Look:  # (H,W,3)
    """The image as it is compared: grey, averaged down to 32x32, without its mean."""
    grey = Image.fromarray(image).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    tones = np.asarray(grey, dtype=np.float32)
    return Look(tones - tones.mean())
