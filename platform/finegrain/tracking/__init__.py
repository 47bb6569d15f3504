"""MLflow, and the only place that imports it.

runs.py      a benchmark as a parent run with a nested run for each trial
published.py the paper's numbers, as runs to compare with
results.py   the trials of benchmarks, read back
best.py      the best trial of each category
mlmodel.py   what makes a checkpoint a model that MLflow itself can load
server.py    a server of its own, to try things on
moved.py     a local store that was moved finds its artifacts
signing.py   who has signed a checkpoint, and who has to
audit.py     who changed what is served, and when
champion.py  what a registered model tells of a category's champion, and which rows are no such
registry.py  the checkpoint that is served of each category: looked up, moved, fetched
parts.py     what a server records: the photos behind a fit, and operators' feedback
"""

from finegrain.tracking.champion import Champion
from finegrain.tracking.parts import Feedback, PartRuns
from finegrain.tracking.published import load_published
from finegrain.tracking.registry import Registry
from finegrain.tracking.results import RecordedTrial, recorded_trials
from finegrain.tracking.runs import BenchmarkRun

__all__ = [
    "BenchmarkRun",
    "Champion",
    "Feedback",
    "PartRuns",
    "RecordedTrial",
    "Registry",
    "load_published",
    "recorded_trials",
]
