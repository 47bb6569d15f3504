"""finegrain: benchmark and serve few-shot visual anomaly detection.

`fit` and `load` are the way in from Python; see finegrain/fitted.py. What is named here is imported
when it is first used, so that `import finegrain` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from finegrain.loopback import stay_local

if TYPE_CHECKING:
    from finegrain.decision import Verdict
    from finegrain.detectors import Detector, Prediction
    from finegrain.fitted import FittedDetector, fit, load

__all__ = ["Detector", "FittedDetector", "Prediction", "Verdict", "fit", "load"]

stay_local()  # before anything asks over HTTP, or imports MLflow

_HOMES = {
    "Detector": "finegrain.detectors",
    "Prediction": "finegrain.detectors",
    "Verdict": "finegrain.decision",
    "FittedDetector": "finegrain.fitted",
    "fit": "finegrain.fitted",
    "load": "finegrain.fitted",
}


def __getattr__(name: str) -> Any:
    """What __all__ names, from its home."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
