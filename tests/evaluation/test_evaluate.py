"""Scoring a test set whose tokens are kept, or are too large for that."""

import gc
import weakref

import numpy as np
import pytest
import torch
from PIL import Image

from finegrain.backbones import PatchTokens
from finegrain.benchmark.kept import Kept, kept_bytes
from finegrain.data.folder import load_folder
from finegrain.detectors import Prediction
from finegrain.errors import ConfigError
from finegrain.evaluation.evaluate import EncodedAnew, load_test_set, score_all

VALUES = 2_000_000  # of an image's tokens: 8 MB


class Large:
    """Large tokens, and how many images' are in memory at once."""

    device = torch.device("cpu")

    def __init__(self):
        self.alive = self.most = 0

    def preprocess(self, images):
        return torch.tensor([float(image.mean()) for image in images])

    def encode_images(self, pixels, windows=None):
        count = len(pixels)
        patches = pixels.view(count, 1, 1).repeat(1, 1, 4)
        memory = torch.zeros(count, 1, VALUES)
        self.alive += count
        self.most = max(self.most, self.alive)
        weakref.finalize(memory, self._freed, count)
        return PatchTokens(patches[:, 0], patches, (memory,), (1, 1))

    def _freed(self, count):
        self.alive -= count


class Mean:
    """Scores an image by its mean."""

    def score(self, tokens):
        means = tokens.image[:, 0].numpy()
        return Prediction(means, np.zeros((len(means), 4, 4), np.float32))


def category(root, images):
    for folder, count in (("train/good", 1), ("test/good", images)):
        (root / "part" / folder).mkdir(parents=True)
        for place in range(count):
            grey = np.full((8, 8), place, np.uint8)
            Image.fromarray(grey).save(root / "part" / folder / f"{place:03}.png")
    return load_folder("folder", root, "part")


def test_memory_stays_flat_however_many_images_there_are(tmp_path):
    most = []
    for images in (40, 120):
        backbone, found = Large(), category(tmp_path / str(images), images)
        test = load_test_set(found, backbone, keep_bytes=100_000_000)
        assert isinstance(test.tokens, EncodedAnew)
        scores = score_all(Mean(), test.tokens).image_scores
        assert scores.tolist() == list(range(images))
        gc.collect()
        most.append(backbone.most)
    assert most[0] == most[1] <= 32  # two batches of 16, not the 120 images


def test_tokens_that_fit_are_kept(tmp_path):
    test = load_test_set(category(tmp_path, 5), Large(), keep_bytes=100_000_000)
    assert isinstance(test.tokens, PatchTokens)
    assert test.tokens.nbytes == 5 * 4 * (VALUES + 4 + 4)
    assert test.encode_ms > 0


def test_what_was_used_last_is_kept_within_its_bytes():
    kept = Kept(3, 100)
    small, middle = np.zeros(40, np.uint8), np.zeros(50, np.uint8)
    kept.keep("a", small)
    kept.keep("b", middle)
    assert kept.get("a") is small
    kept.keep("c", middle)  # 140 bytes: b, used longest ago, makes room
    assert [kept.get(key) is not None for key in "abc"] == [True, False, True]
    huge = np.zeros(101, np.uint8)
    assert kept.keep("d", huge) is huge
    assert kept.get("d") is None


@pytest.mark.parametrize("given", ["much", "-1", "inf", "nan"])
def test_a_budget_is_a_number(given, monkeypatch):
    monkeypatch.setenv("FINEGRAIN_TOKENS_GB", given)
    with pytest.raises(ConfigError, match="FINEGRAIN_TOKENS_GB is a number of GiB"):
        kept_bytes()
