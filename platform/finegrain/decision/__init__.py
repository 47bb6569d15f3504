"""From scores to a decision.

canary.py     an image whose score tells whether a detector is still what was calibrated
calibrate.py  what good parts are expected to score, from the shots of a fitted detector alone
thresholds.py the thresholds that follow for a number of false alarms
regions.py    where the map is above its threshold, and which component that concerns
verdict.py    both and their reason in one value: what the server answers and a library user gets
"""

from finegrain.decision.regions import Region
from finegrain.decision.thresholds import Expected, Thresholds
from finegrain.decision.verdict import Component, Verdict, decide, judge

__all__ = ["Component", "Expected", "Region", "Thresholds", "Verdict", "decide", "judge"]
