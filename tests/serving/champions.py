"""Small champions of the factory's categories in a registry of their own."""

import os
from pathlib import Path

from mlflow import MlflowClient

from finegrain.backbones import encode
from finegrain.captions import find_caption
from finegrain.checkpoint import save_detector
from finegrain.decision.calibrate import calibrate, encoded_copies
from finegrain.detectors import make_detector
from finegrain.evaluation.figures import png
from finegrain.factory import render
from finegrain.tracking.runs import EXPERIMENT, PATIENCE

CATEGORIES = ("gasket", "gear", "pcb")
PCB = "/v1/categories/factory/pcb/score"


def picture(category, index, defect=None):
    return png(render(category, "test", defect, index, 3).image)


PIXELS = picture("pcb", 0)


def shots_of(category, count=2, first=0):
    return [render(category, "train", None, first + i, 0).image for i in range(count)]


def fitted(backbone, category, seed=0, first=0):
    """FineGrainedAD with few epochs, and its thresholds."""
    options = {
        "caption": find_caption("factory", category).model_dump(mode="json"),
        "training": {"epochs": 1},
        "regions": {"fine_resolution": False},
    }
    shots = shots_of(category, first=first)
    detector = make_detector("finegrained", backbone, options, seed=seed).fit(shots)
    copies = [encoded_copies(backbone, shot) for shot in shots]
    return detector, calibrate(detector, encode(backbone, shots), copies)


def logged(uri, folder: Path, detector, thresholds, category) -> str:
    """A run with that checkpoint, as a benchmark leaves it; its id."""
    for variable, value in PATIENCE.items():
        os.environ.setdefault(variable, value)
    client = MlflowClient(uri)
    found = client.get_experiment_by_name(EXPERIMENT)
    experiment = (
        found.experiment_id
        if found
        else client.create_experiment(EXPERIMENT, artifact_location=(folder / "artifacts").as_uri())
    )
    run = client.create_run(experiment, run_name=category).info.run_id
    checkpoint = folder / run / "checkpoint"
    save_detector(
        detector, checkpoint, dataset="factory", category=category, shots=[], thresholds=thresholds
    )
    client.log_artifacts(run, str(checkpoint), "checkpoint")
    client.set_terminated(run)
    return run
