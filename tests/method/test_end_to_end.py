"""The whole of FineGrainedAD against the slow one, on a toy CLIP with random weights."""

import math
from dataclasses import asdict

import numpy as np
import pytest
import torch

from finegrain.backbones import encode
from finegrain.captions import Caption
from finegrain.detectors.finegrained import FineGrained
from finegrain.method.config import MethodConfig
from finegrain.method.paper import PAPER
from tests.backbones.conftest import frozen, tiny_model
from tests.conftest import PLATE, striped
from tests.method.slow_method import SlowFineGrained

SEED, CLOSE = 5, 1e-5
# Sped up, or two epochs would change too little to be seen.
TRAINING = {**PAPER["training"], "epochs": 2, "learning_rate": 0.05, "weight_decay": 1.0}
DEFAULT = asdict(MethodConfig())
DEFAULT["scoring"]["tail"] = 0.2  # of 16 tokens; the default's hundredth of them is none


def changed(**groups):
    """The paper's switches but for these."""
    return {name: {**options, **groups.get(name, {})} for name, options in PAPER.items()}


SETTINGS = {
    "paper": changed(),
    "default": DEFAULT,
    "published code": changed(
        losses={"weighting": "tokens", "class_token": False, "temperature": "log"},
        scoring={"temperature": "log", "reweighting": False, "image": "visual"},
    ),
    "not token-wise": changed(scoring={"token_wise": False, "class_temperature": 5.0}),
}


@pytest.fixture(scope="module")
def clip():
    return frozen(tiny_model())


@pytest.fixture(scope="module")
def images():
    """Two shots, and two test images, the second with a defect."""
    generator = np.random.default_rng(0)
    defects = (False, False, False, True)
    drawn = [striped(generator, defect)[0] for defect in defects]
    return drawn[:2], drawn[2:]


def fitted(clip, shots, switches):
    return FineGrained(clip, {**switches, "caption": PLATE}, seed=SEED).fit(shots)


def learned(detector):
    """n̄, ā and q, (U,D) each."""
    return detector.features.normal, detector.features.abnormal, detector.features.queries


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("epochs", [0, 2])
def test_scores_are_those_of_the_slow_method(clip, images, setting, epochs):
    switches = {**SETTINGS[setting], "training": {**TRAINING, "epochs": epochs}}
    shots, tests = images
    fast = fitted(clip, shots, switches)
    slow = SlowFineGrained(clip, Caption.model_validate(PLATE), switches, SEED).fit(shots)
    for ours, theirs in zip(learned(fast), (slow.normal, slow.abnormal, slow.keys), strict=True):
        torch.testing.assert_close(ours, torch.stack(theirs), atol=CLOSE, rtol=0)
    found = fast.score(encode(clip, tests))
    for place, image in enumerate(tests):
        score, anomaly_map = slow.score(image)
        assert math.isclose(found.image_scores[place], score, abs_tol=CLOSE)
        np.testing.assert_allclose(found.anomaly_maps[place], anomaly_map, atol=CLOSE, rtol=0)


@pytest.mark.parametrize(
    ("group", "switch", "value"),
    [
        ("training", "epochs", 0),
        ("training", "momentum", 0),
        ("training", "weight_decay", 0),
        ("training", "final_learning_rate", TRAINING["learning_rate"]),
        ("regions", "weight", 0),
        ("losses", "weighting", "tokens"),
        ("losses", "class_token", False),
        ("losses", "temperature", "log"),
        ("losses", "clip", 0),
        ("losses", "triplet", 0),
        ("losses", "mean", 10),
        ("losses", "regularization", 0),
        ("losses", "query", 0),
        ("losses", "margin", 0),
        ("losses", "eta", 0.5),
    ],
)
def test_the_comparison_sees_every_part_of_learning(clip, images, group, switch, value):
    """Changed alone, each moves n̄, ā or q by ten times what the two methods may differ."""
    switches = {**SETTINGS["paper"], "training": TRAINING}
    other = {**switches, group: {**switches[group], switch: value}}
    one, two = (learned(fitted(clip, images[0], of)) for of in (switches, other))
    moved = max(float((a - b).abs().max()) for a, b in zip(one, two, strict=True))
    assert moved > 10 * CLOSE
