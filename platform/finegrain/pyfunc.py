"""What MLflow loads a promoted part with: `mlflow.pyfunc.load_model`, `mlflow models serve`.

The model is the checkpoint itself, JSON and safetensors. A frame of images goes in, one row of
verdict for each comes out; tracking/mlmodel.py has the columns.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from finegrain.data.images import decode_rgb
from finegrain.decision import Verdict
from finegrain.fitted import FittedDetector, load


class PartModel:
    """A fitted detector as MLflow calls models.

    Args:
        part: what is expected in the images.
    """

    def __init__(self, part: FittedDetector) -> None:
        self.part = part

    def predict(
        self, model_input: pd.DataFrame, params: Mapping[str, Any] | None = None
    ) -> pd.DataFrame:
        """The verdicts on the files in the column "image"; there are no `params`.

        Raises:
            ImageError: a row is no image within the limits; the message counts rows from 0.
        """
        images = [
            decode_rgb(content, f"row {row}") for row, content in enumerate(model_input["image"])
        ]
        verdicts = [v for v in self.part.inspect_each(images) if isinstance(v, Verdict)]
        return pd.DataFrame(
            {
                "score": [v.score for v in verdicts],
                "threshold": [v.threshold for v in verdicts],
                "rejected": [v.rejected for v in verdicts],
                "reason": [v.reason for v in verdicts],
                "regions": [json.dumps([vars(r) for r in v.regions]) for v in verdicts],
            }
        )


def _load_pyfunc(data_path: str) -> PartModel:
    """MLflow's door; errors as for `finegrain.load`."""
    return PartModel(load(Path(data_path)))
