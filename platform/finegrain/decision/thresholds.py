"""What good parts are expected to score, and the thresholds that follow from it.

B images.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from finegrain.errors import ConfigError

FALSE_ALARMS = 5.0  # of 100 good parts, where nobody says otherwise
HIGHEST = 1e6  # of a threshold: no method scores a part near it
FEWEST, MOST = 0.1, 50.0  # that can be asked for


@dataclass(frozen=True)
class Expected:
    """The scores of good parts that were not seen yet; see calibrate.py.

    (log(score) - location) / scale is expected to follow Student's t distribution.

    Args:
        location: the logarithm of a usual good part's score.
        scale: how far the logarithms spread.
        freedom: degrees of freedom; the fewer, the less is known and the higher the threshold.

    Raises:
        ConfigError: a value is not finite, or scale or freedom is not positive.
    """

    location: float
    scale: float
    freedom: float

    def __post_init__(self) -> None:
        values = (self.location, self.scale, self.freedom)
        if not all(map(math.isfinite, values)) or min(self.scale, self.freedom) <= 0:
            raise ConfigError(
                "location, scale and freedom of the scores expected of good parts must be finite, "
                f"the last two positive; got {self.location}, {self.scale}, {self.freedom}"
            )

    def exceeded_by(self, false_alarms: float) -> float:
        """The score that so many of 100 good parts are expected to exceed."""
        quantile = float(stdtrit(self.freedom, 1 - false_alarms / 100))
        return math.exp(self.location + self.scale * quantile)

    def false_alarms(self, threshold: float) -> float:
        """How many of 100 good parts are expected to exceed a positive score."""
        return 100 * float(
            1 - stdtr(self.freedom, (math.log(threshold) - self.location) / self.scale)
        )

    def deviations(self, scores: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
        """How many scales each of the B positive scores lies above the location."""
        return (np.log(np.asarray(scores, dtype=np.float64)) - self.location) / self.scale


@dataclass(frozen=True)
class Thresholds:
    """What the image score and the map of a good part should stay below.

    Args:
        image: of the image score.
        pixel: of the anomaly map.
        false_alarms: of 100 good parts, that they were set for; None: as older versions did.
        scores: the image scores expected of good parts.
        peaks: the maxima of the maps expected of good parts.
        canary: what the canary scored when they were set; see canary.py.

    Raises:
        ConfigError: a threshold that would accept every part, or none.
    """

    image: float
    pixel: float
    false_alarms: float | None = None
    scores: Expected | None = None
    peaks: Expected | None = None
    canary: float | None = None

    def __post_init__(self) -> None:
        if not all(0 < value < HIGHEST for value in (self.image, self.pixel)):
            raise ConfigError(
                f"thresholds must lie above 0 and below {HIGHEST:g}; got {self.image} of the image "
                f"and {self.pixel} of a pixel. Fit again"
            )
        if self.canary is not None and not math.isfinite(self.canary):
            raise ConfigError(f"the canary's score must be finite; got {self.canary}. Fit again")
        if self.false_alarms is not None:
            check_false_alarms(self.false_alarms)

    @classmethod
    def of(cls, scores: Expected, peaks: Expected, false_alarms: float) -> Self:
        """Those that so many of 100 good parts are expected to exceed; ConfigError as for `at`."""
        check_false_alarms(false_alarms)
        image, pixel = (kind.exceeded_by(false_alarms) for kind in (scores, peaks))
        return cls(image, pixel, false_alarms, scores, peaks)

    def at(self, false_alarms: float) -> Self:
        """The same at another number of false alarms among 100 good parts, without a new fit.

        Raises:
            ConfigError: a number out of its range, or thresholds of an older version, which do
                not say what good parts are expected to score.
        """
        check_false_alarms(false_alarms)
        if self.scores is None or self.peaks is None:
            raise ConfigError(
                "these thresholds were calibrated by an older version, which kept no spread of "
                "the scores; fit again to choose a number of false alarms"
            )
        return replace(self.of(self.scores, self.peaks, false_alarms), canary=self.canary)


def check_false_alarms(false_alarms: float) -> None:
    """ConfigError unless so many false alarms among 100 good parts can be asked for."""
    if not FEWEST <= false_alarms <= MOST:
        raise ConfigError(
            f"false alarms are counted among 100 good parts: ask for {FEWEST:g} to {MOST:g}; "
            f"got {false_alarms:g}"
        )
