"""From scores to a decision.

calibrate.py  thresholds of a fitted detector from its shots alone
regions.py    where the map is above its threshold, and which component that concerns
verdict.py    both and their reason in one value: what the server answers and a library user gets
"""

from finegrain.decision.regions import Region, Thresholds
from finegrain.decision.verdict import Component, Verdict, decide, judge

__all__ = ["Component", "Region", "Thresholds", "Verdict", "decide", "judge"]
