"""From scores to a decision.

calibrate.py  thresholds of a fitted detector from its shots alone
regions.py    where the map is above its threshold, and which component that concerns
"""
