"""Whether the parts that are accepted still score as the photos let expect."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from scipy.special import stdtrit

from finegrain.decision import Thresholds, Verdict
from finegrain.serving.messages import Refusal, ScoredImages

KEPT, FEWEST = 200, 30  # the last accepted images of a part; below the second, nothing is said
# Deviations that are worth a word. What is accepted lies below the threshold, 1.8 above the
# location at 5 false alarms: so a shift by 1.5 shows as 1. A location from a few photos is itself
# only sure to about half of one.
MUCH = 1.0


@dataclass(frozen=True)
class Drift:
    """How far the accepted images of a version lie from what its calibration expects.

    Args:
        images: how many the median is taken over.
        deviations: of their scores, in scales of the calibration; above 0 they score higher.
    """

    images: int
    deviations: float

    @property
    def message(self) -> str | None:
        """A sentence where that is much."""
        if abs(self.deviations) < MUCH:
            return None
        way = "higher" if self.deviations > 0 else "lower"
        return (
            f"the last {self.images} accepted parts score {abs(self.deviations):.1f} deviations "
            f"{way} than the photos let expect: did light or camera change?"
        )


class DriftWatch:
    """The scores of accepted images by part, those of its newest version alone.

    The median is compared with that of the accepted share of the expected distribution, since what
    is rejected is cut off above.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[Thresholds, deque[float]]] = {}

    def note(self, key: str, scored: ScoredImages) -> Drift | None:
        """Take up the accepted ones of a request; the part's drift by now."""
        thresholds = scored.thresholds
        if thresholds is None or thresholds.scores is None:
            return None
        known, deviations = self._seen.get(key, (None, deque[float](maxlen=KEPT)))
        if known is None or known.scores != thresholds.scores:
            deviations = deque(maxlen=KEPT)
        self._seen[key] = (thresholds, deviations)
        accepted = _accepted(scored.images)
        deviations.extend(thresholds.scores.deviations(np.array(accepted)).tolist())
        return self.of(key)

    def of(self, key: str) -> Drift | None:
        """The part's drift; None below FEWEST images."""
        recent = self.recent(key)
        return Drift(len(recent), round(median(recent), 2)) if recent else None

    def recent(self, key: str) -> list[float]:
        """The accepted images' deviations from what is expected, oldest first; or none."""
        if key not in self._seen:
            return []
        thresholds, deviations = self._seen[key]
        if len(deviations) < FEWEST or thresholds.scores is None:
            return []
        share = 1 - thresholds.scores.false_alarms(thresholds.image) / 100
        expected = float(stdtrit(thresholds.scores.freedom, share / 2))
        return [one - expected for one in deviations]


def _accepted(images: Sequence[Verdict | Refusal]) -> list[float]:
    return [one.score for one in images
            if isinstance(one, Verdict) and one.rejected is False and one.score > 0]  # fmt: skip
