"""MLflow, and the only place that imports it.

runs.py   a benchmark as a parent run with a nested run for each trial
"""

from finegrain.tracking.runs import BenchmarkRun, default_uri

__all__ = ["BenchmarkRun", "default_uri"]
