"""The files that make a checkpoint a model of MLflow's own: MLmodel, signature, example."""

import base64
import warnings
from importlib.metadata import version
from pathlib import Path

MLMODEL = "MLmodel"
LOADER = "finegrain.pyfunc"
# A grey square of 32 pixels: what any image looks like on the way in.
EXAMPLE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAACAAAAAgCAAAAABWESUoAAAAGElEQVR42mNsYMAPmBhGFYwqGFUwQhUA"
    "AJe+AMD8WknZAAAAAElFTkSuQmCC"
)


def write_mlmodel(folder: Path) -> None:
    """Write the files that lie beside a checkpoint's own, into a new folder."""
    with warnings.catch_warnings():  # of MLflow and pandas, about each other
        warnings.simplefilter("ignore")
        import mlflow.pyfunc  # it takes seconds: only where a part is promoted
        import pandas as pd
        from mlflow.models import ModelSignature
        from mlflow.types import ColSpec, Schema, TensorSpec

        answer: list[ColSpec | TensorSpec] = [
            ColSpec("double", "score"),
            ColSpec("double", "threshold", required=False),
            ColSpec("boolean", "rejected", required=False),
            ColSpec("string", "reason"),
            ColSpec("string", "regions"),
        ]
        mlflow.pyfunc.save_model(
            folder,
            loader_module=LOADER,
            signature=ModelSignature(Schema([ColSpec("binary", "image")]), Schema(answer)),
            input_example=pd.DataFrame({"image": [EXAMPLE]}),
            pip_requirements=[f"finegrain=={version('finegrain')}"],
        )
