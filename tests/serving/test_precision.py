"""bfloat16 is taken where it is the faster and scores alike, and nowhere else."""

import dataclasses

import pytest
import torch

from finegrain.backbones import load_backbone
from finegrain.serving import precision
from finegrain.serving.config import ServingConfig
from finegrain.serving.precision import TOLERANCE, largest_change, preferred


class Changed:
    """A backbone whose tokens are moved by a share of their length, in directions of chance."""

    def __init__(self, backbone, share):
        self.backbone, self.share = backbone, share

    def preprocess(self, images):
        return self.backbone.preprocess(images)

    def encode_images(self, pixels, windows=None):
        tokens = self.backbone.encode_images(pixels, windows)
        generator = torch.Generator().manual_seed(0)

        def moved(values):
            noise = torch.randn(values.shape, generator=generator)
            noise *= values.norm(dim=-1, keepdim=True) / noise.norm(dim=-1, keepdim=True)
            return values + self.share * noise

        return dataclasses.replace(
            tokens, image=moved(tokens.image), patches=moved(tokens.patches),
            memories=tuple(map(moved, tokens.memories)),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("share", "short_ms", "taken"),
    [
        (0.0, 5, "short"),
        (0.0, 20, "exact"),
        (1.0, 5, "exact"),
        (float("nan"), 5, "exact"),
    ],
)
def test_the_faster_is_taken_only_if_it_scores_alike(
    backbone, share, short_ms, taken, monkeypatch, caplog
):
    short = Changed(backbone, share)
    times = {id(short): short_ms, id(backbone): 10}
    monkeypatch.setattr(precision, "encode_ms", lambda one, _images: times[id(one)])
    assert preferred(backbone, short, batch_images=8) is {"short": short, "exact": backbone}[taken]
    assert ("float32 it is" in caplog.text) == (share != 0)


def test_the_bundled_models_bfloat16_scores_alike(backbone):
    change = largest_change(backbone, load_backbone("bundled", dtype=torch.bfloat16))
    assert 0 < change < TOLERANCE


def test_a_cpu_keeps_float32_unless_told_otherwise():
    assert precision.load_serving_backbone(ServingConfig()).dtype == torch.float32
    told = ServingConfig(precision="bfloat16")
    assert precision.load_serving_backbone(told).dtype == torch.bfloat16
