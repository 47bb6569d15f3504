"""Spoiled photos are named, good ones are not; painted defects are counted as they score."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from finegrain.backbones import PatchTokens, encode
from finegrain.decision.calibrate import calibrate, encoded_copies
from finegrain.detectors import make_detector
from finegrain.evaluation.photos import PhotoFault, alignment, photo_faults
from finegrain.evaluation.selfcheck import AREAS, Painted, SelfCheck, advice, self_check
from finegrain.evaluation.synthetic import KINDS
from finegrain.factory import render


@pytest.fixture(scope="module")
def photos():
    return [render("gasket", "train", None, i, 0).image for i in range(4)]


@pytest.fixture(scope="module")
def tokens(photos, backbone):
    return encode(backbone, photos)


def kinds(images, tokens):
    return [(fault.place, fault.kind) for fault in photo_faults(images, tokens)]


def spoiled(photos, place, image):
    return [image if i == place else photo for i, photo in enumerate(photos)]


def test_good_photos_are_not_named(photos, tokens):
    assert kinds(photos, tokens) == []
    assert kinds(photos[:1], tokens[:1]) == []


def test_spoiled_photos_are_named(photos, tokens, backbone):
    picture = Image.fromarray(photos[1])
    blurred = np.asarray(picture.filter(ImageFilter.GaussianBlur(picture.width / 60)))
    assert kinds(spoiled(photos, 1, blurred), tokens) == [(1, "blurred")]
    bright = np.asarray(picture.point(lambda level: min(255, 3 * level + 60)))
    assert kinds(spoiled(photos, 1, bright), tokens) == [(1, "over-exposed")]
    dark = np.asarray(picture.point(lambda level: level // 2))
    assert kinds(spoiled(photos, 1, dark), tokens) == [(1, "darker")]
    assert kinds(spoiled(photos, 2, photos[1]), tokens) == [(2, "duplicate")]
    gear = render("gear", "train", None, 0, 0).image
    other = PatchTokens.concatenate([tokens[:2], encode(backbone, [gear]), tokens[3:]])
    faults = photo_faults(photos, other)  # whose tokens alone say so
    assert [(fault.place, fault.kind) for fault in faults] == [(2, "other part")]


def of_places(order):
    """Tokens whose patches are all different, lying in that order."""
    patches = torch.eye(len(order))[order][None]
    return PatchTokens(patches.mean(1), patches, (patches,), (6, 6))


def test_parts_that_lie_alike_are_aligned():
    straight, moved = torch.arange(36), torch.arange(36).view(6, 6).roll(3, 1).flatten()
    assert alignment(of_places(straight)) is None
    assert alignment(PatchTokens.concatenate([of_places(straight)] * 2)) == 1
    apart = PatchTokens.concatenate([of_places(straight), of_places(moved)])
    assert alignment(apart) == 0  # three columns off, in every place


def test_a_check_counts_what_the_detector_says(photos, tokens, backbone):
    detector = make_detector("patchcore", backbone)
    detector.fit_tokens(tokens[:2])
    copies = [encoded_copies(backbone, photo) for photo in photos[:2]]
    thresholds = calibrate(detector, tokens[:2], copies)
    check, picture = self_check(detector, photos[:2], tokens[:2], thresholds)
    assert len(check.painted) == 2 * len(KINDS) * len(AREAS)
    limit = 1 - thresholds.false_alarms / 100
    assert all(one.found == (one.above > limit) for one in check.painted)
    assert check.separation == pytest.approx(np.mean([one.above for one in check.painted]))
    assert check.false_alarms is None
    assert check.advice[0] == "add 2 photos: only two"
    assert picture.ndim == 3


def made_up(**changes):
    painted = tuple(Painted(kind, area, 0.99, True) for kind in KINDS for area in AREAS)
    values = {"photos": 4, "faults": (), "aligned": 0.9, "asked": 5.0, "false_alarms": 0,
              "painted": painted, "advice": ()}  # fmt: skip
    return SelfCheck(**values | changes)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"photos": 1}, ["add 3 photos: only one"]),
        (
            {"photos": 2, "faults": (PhotoFault(1, "brighter", "1.5 times as bright"),)},
            ["photo 2 is brighter (1.5 times", "add 2 photos: only two, and light differs"],
        ),
        ({"faults": (PhotoFault(0, "other part", "far"),)}, ["photo 1 is perhaps of another part"]),
        ({"painted": (Painted("stain", 0.01, 0.6, False),)}, ["painted defects score above only"]),
        (
            {"painted": (Painted("stain", 0.01, 0.9, False), Painted("scratch", 0.01, 0.9, True))},
            ["cut-paste and stain of 1 % of the area are mostly missed at 5 false alarms"],
        ),
        ({"false_alarms": 2}, ["2 of 4 photos, left out, would be false alarms"]),
    ],
)
def test_what_to_do(changes, expected):
    found = advice(made_up(**changes))
    assert len(found) == len(expected)
    assert all(line.startswith(start) for line, start in zip(found, expected, strict=True))
