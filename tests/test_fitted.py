"""The way in from Python: what it gives is what the parts below it give."""

import json
import subprocess
import sys
from hashlib import sha256

import numpy as np
import pytest
from PIL import Image

from finegrain import Detector, Prediction, Verdict, fit, load
from finegrain.backbones import encode
from finegrain.data.images import read_rgb
from finegrain.decision.canary import canary, check_canary
from finegrain.detectors import make_detector
from finegrain.errors import CheckpointError, ConfigError, ImageError, ScoreError
from tests.conftest import PLATE, striped, write_category


@pytest.fixture(scope="module")
def plate(tmp_path_factory):
    return write_category(tmp_path_factory.mktemp("photos"), "plate", seed=3) / "plate"


@pytest.fixture(scope="module")
def good(plate):
    return sorted((plate / "train" / "good").iterdir())[:4]


@pytest.fixture(scope="module")
def fitted(good):
    return fit(good, method="patchcore", seed=5)


def test_it_scores_as_a_detector_fitted_by_hand(fitted, good, plate, backbone):
    by_hand = make_detector("patchcore", backbone, seed=5).fit([read_rgb(path) for path in good])
    images = sorted((plate / "test" / "hole").iterdir())
    expected = by_hand.score(encode(backbone, [read_rgb(path) for path in images]))
    found = fitted.predict(images)
    assert isinstance(fitted.detector, Detector)
    assert isinstance(found, Prediction)
    np.testing.assert_array_equal(found.image_scores, expected.image_scores)
    np.testing.assert_array_equal(found.anomaly_maps, expected.anomaly_maps)


def test_what_the_canary_scored_is_kept_with_the_thresholds(fitted, tmp_path):
    fitted.save(tmp_path / "saved")
    kept = load(tmp_path / "saved").thresholds
    again = float(fitted.predict([canary()]).image_scores[0])
    assert kept.canary == pytest.approx(again, rel=1e-6)
    check_canary(again, kept)
    with pytest.raises(ScoreError, match="when the detector was calibrated"):
        check_canary(2 * again, kept)


def test_an_array_is_its_file(fitted, good):
    files, arrays = fitted.predict(good), fitted.predict([read_rgb(path) for path in good])
    np.testing.assert_array_equal(files.image_scores, arrays.image_scores)


def test_a_hole_is_rejected_where_it_is(fitted):
    image, mask = striped(np.random.default_rng(8), defect=True)
    verdict = fitted.inspect(image)
    assert isinstance(verdict, Verdict)
    assert verdict.rejected
    assert verdict.score > verdict.threshold
    left, top, right, bottom = verdict.regions[0].box
    rows, columns = np.argwhere(mask).mean(0)
    assert left <= columns < right
    assert top <= rows < bottom
    assert not fitted.inspect(striped(np.random.default_rng(9))[0]).regions


def test_what_is_saved_is_loaded(fitted, good, tmp_path):
    fitted.save(tmp_path / "part")
    again = load(tmp_path / "part")
    np.testing.assert_array_equal(
        again.predict(good).anomaly_maps, fitted.predict(good).anomaly_maps
    )
    assert (again.thresholds, again.shots) == (fitted.thresholds, fitted.shots)
    assert again.inspect(good[0]) == fitted.inspect(good[0])


def test_shots_are_known_by_their_content(good):
    pixels = read_rgb(good[1])
    shots = fit([good[0], pixels], method="padim").shots
    assert [shot.sha256 for shot in shots] == [
        sha256(good[0].read_bytes()).hexdigest(),
        sha256(pixels.tobytes()).hexdigest(),
    ]


def test_a_caption_may_be_a_file(good, tmp_path):
    path = tmp_path / "plate.json"
    path.write_text(json.dumps(PLATE))
    quick = {"training": {"epochs": 1}}
    from_file = fit(good[:1], method="finegrained", caption=path, options=quick)
    assert {"stripes", "bore"} <= {name for name, _ in from_file.detector.units}


def test_without_a_caption_the_images_give_one(good, tmp_path):
    quick = {"training": {"epochs": 1}, "regions": {"fine_resolution": False}}
    part = fit(good[:2], method="finegrained", options=quick, category="my_plate")
    caption = part.detector.caption
    assert (caption.key, caption.provenance.source) == ("own/my_plate", "photos")
    assert caption.provenance.shots_sha256 == tuple(shot.sha256 for shot in part.shots)
    part.save(tmp_path / "part")
    assert load(tmp_path / "part").detector.caption == caption


@pytest.mark.parametrize(
    ("images", "chosen", "error", "words"),
    [
        ([], {}, ConfigError, "at least one good image"),
        (["missing.png"], {}, ImageError, "missing.png"),
        ([np.zeros((64, 64, 3))], {}, ImageError, "uint8"),
        ([np.zeros((64, 64), np.uint8)], {}, ImageError, r"\(64, 64\)"),
        (["missing.png"], {"method": "best"}, ConfigError, "known: .*patchcore"),
        (["missing.png"], {"method": "finegrained"}, ImageError, "missing.png"),
        (["missing.png"], {"caption": "none.yaml"}, ConfigError, "none.yaml"),
        (["missing.png"], {"backbone": "resnet18"}, ConfigError, "needs weights"),
        (["missing.png"], {"method": "padim", "options": {"no": 1}}, ConfigError, "known"),
    ],
)
def test_what_is_wrong_is_said(images, chosen, error, words):
    with pytest.raises(error, match=words):
        fit(images, **chosen)


def test_a_folder_that_is_no_checkpoint_is_said(tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint"):
        load(tmp_path)


def test_a_broken_image_is_named(fitted, tmp_path):
    path = tmp_path / "half.png"
    Image.new("RGB", (64, 64)).save(path)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(ImageError, match=r"half\.png"):
        fitted.inspect(path)


def test_importing_the_package_costs_nothing():
    code = "import finegrain, sys; print('torch' in sys.modules, finegrain.fit.__name__)"
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() == [
        "False",
        "fit",
    ]
