"""Of a narrow part its own patches alone are scored, mapped and remembered; squares are as ever."""

import numpy as np
import pytest
import torch

from finegrain.backbones import (
    FrozenClip,
    PatchTokens,
    Windows,
    aspect_of,
    encode,
    framed,
    shots_aspect,
)  # fmt: skip
from finegrain.backbones.frame import content, cropped, padded
from finegrain.backbones.pixels import Pixels
from finegrain.backbones.windows import pooled
from finegrain.checkpoint import load_detector, read_config, save_detector
from finegrain.detectors import make_detector
from finegrain.fitted import fit, load
from finegrain.serving.encoder import Encoder

NARROW = (60, 600)


def strip(seed, spot=None):
    """A striped part of 60 x 600 pixels; `spot` is the column of a dark square."""
    generator = np.random.default_rng(seed)
    stripes = 120 + 60 * np.sin(np.arange(NARROW[1]) / 9)
    image = np.tile(stripes[None, :, None], (NARROW[0], 1, 3))
    image += generator.normal(0, 3, image.shape)
    if spot is not None:
        image[20:40, spot : spot + 30] = 10
    return image.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("aspect", "expected"),
    [(1.0, (15, 15)), (10.0, (3, 15)), (0.1, (15, 3)), (2.5, (6, 15)), (0.4, (15, 6))],
)
def test_a_part_fills_whole_rows_of_patches_and_three_at_least(aspect, expected):
    assert content((15, 15), aspect) == expected
    assert content((2, 2), aspect) == (2, 2)  # no backbone has fewer than it has


def test_the_shots_say_whether_a_part_is_narrow():
    square, narrow = np.zeros((50, 60, 3), np.uint8), np.zeros((300, 3000, 3), np.uint8)
    assert shots_aspect("auto", [square]) is None
    assert shots_aspect("auto", [narrow, narrow, square]) == pytest.approx(10)
    assert shots_aspect("auto", [narrow.swapaxes(0, 1)]) == pytest.approx(0.1)
    assert shots_aspect("squash", [narrow]) is None
    assert shots_aspect("fit", [square]) == pytest.approx(1.2)
    assert shots_aspect("fit", []) is None  # no shot tells


def test_padding_repeats_the_border_and_is_cropped_away():
    pixels = torch.arange(1.0, 16.0).repeat_interleave(16)  # 15 columns of 16 pixels
    square = pixels.expand(1, 3, 240, 240)
    whole = padded(square.transpose(2, 3), (15, 15), (5, 15))  # a value a row, in 5 rows
    means = whole.reshape(1, 3, 15, 16, 15, 16).mean((1, 3, 5))
    assert torch.allclose(means[0, :5], whole[0, 0, 80, 0])
    patches = means.reshape(1, 225, 1).repeat(1, 1, 4)
    seen = cropped(PatchTokens(patches.mean(1), patches, (patches,), (15, 15)), (5, 15))
    assert seen.grid == (5, 15)
    # Three rows of the square become one: their mean, but for what antialiasing takes from beside.
    assert torch.allclose(seen.patches[0, ::15, 0], torch.tensor([2.0, 5, 8, 11, 14]), atol=0.35)
    assert torch.equal(seen.memories[0], seen.patches)


def test_windows_are_those_within_the_image(backbone):
    windows, narrow = Windows((2, 3)), framed(backbone, 3.0)
    seen = encode(narrow, [strip(0)], windows=windows)
    for found, again in zip(seen.windows, pooled(seen.patches, (5, 15), (2, 3)), strict=True):
        assert torch.allclose(found, again, atol=1e-5)


def test_a_framed_backbone_is_the_same_model(backbone):
    narrow = framed(backbone, 10.0)
    assert isinstance(narrow, FrozenClip)
    assert isinstance(narrow, type(backbone))
    assert narrow.weights_hash == backbone.weights_hash
    assert (aspect_of(narrow), aspect_of(backbone)) == (10.0, None)
    for same in (None, 1.0, 1.02):
        assert framed(backbone, same) is backbone  # square images: bit-identical
    pixels = Pixels()
    assert framed(pixels, 10.0) is pixels  # anomalib's models take squares


@pytest.mark.parametrize("method", ["patchcore", "anomalydino", "padim", "spade", "winclip"])
def test_every_detector_takes_a_narrow_part(method, backbone, tmp_path):
    options = {"object_name": "rail"} if method == "winclip" else {}
    detector = make_detector(method, framed(backbone, 10.0), options)
    detector.fit([strip(seed) for seed in range(3)])
    tokens = encode(detector.backbone, [strip(8), strip(9, spot=450)], windows=detector.windows)
    assert tokens.grid == (3, 15)
    found = detector.score(tokens)
    save_detector(detector, tmp_path / "saved", dataset="d", category="c", shots=[])
    assert read_config(tmp_path / "saved").aspect == 10.0
    again = load_detector(tmp_path / "saved", backbone)
    assert aspect_of(again.backbone) == 10.0
    assert np.array_equal(again.score(tokens).anomaly_maps, found.anomaly_maps)
    if method == "patchcore":
        column = np.unravel_index(found.anomaly_maps[1].argmax(), (400, 400))[1]
        assert abs(column - 400 * 465 / 600) < 20  # the map covers the image and no more
        assert found.image_scores[1] > 1.5 * found.image_scores[0]


def _covers(box, x, y):
    return box[0] <= x < box[2] and box[1] <= y < box[3]


def test_a_part_is_fitted_saved_and_loaded_in_its_own_shape(tmp_path):
    shots, bad = [strip(seed) for seed in range(3)], strip(9, spot=100)
    part = fit(shots, method="anomalydino")
    verdict = part.inspect(bad)
    assert verdict.rejected
    assert _covers(verdict.regions[0].box, 115, 30)  # in its own pixels
    part.save(tmp_path / "part")
    assert load(tmp_path / "part").inspect(bad).score == verdict.score
    squashed = fit(shots, method="anomalydino", resize="squash")
    assert aspect_of(squashed.detector.backbone) is None
    assert squashed.predict([bad]).image_scores != part.predict([bad]).image_scores


def test_an_encoder_frames_each_image_for_its_own_part(backbone):
    encoder, images = Encoder(backbone, threads=1), [strip(0), strip(1), strip(2)]
    pixels = backbone.preprocess(images)
    found = encoder.encode([(pixels[0], 10.0), (pixels[1], None), (pixels[2], 10.0)])
    assert [tokens.grid for tokens in found] == [(3, 15), (15, 15), (3, 15)]
    expected = encode(framed(backbone, 10.0), images)
    assert torch.allclose(found[2].patches, expected.patches[2:], atol=1e-5)
    assert torch.allclose(found[1].patches, encode(backbone, images[1:2]).patches, atol=1e-5)
