"""Any image model of the anomalib library as a detector; needs the extra finegrain[anomalib].

library.py  anomalib itself, imported only when one of its models is asked for
config.py   what is chosen of a model   fit.py  building, fitting and restoring it
model.py    the detector
"""

from finegrain.detectors.anomalib.model import AnomalibModel

__all__ = ["AnomalibModel"]
