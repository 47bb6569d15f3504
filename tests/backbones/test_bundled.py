"""The shipped model: its files, its face, and that words still find what they name."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from open_clip.tokenizer import SimpleTokenizer

from finegrain.backbones import load_backbone
from finegrain.backbones.clip.bundled import (
    BUNDLED,
    CARD_FILE,
    CONFIG_FILE,
    WEIGHTS_FILE,
    BundledClip,
    load_grounded,
)
from finegrain.backbones.clip.frozen_clip import FrozenClip, end_positions
from finegrain.backbones.clip.word_pieces import tokenize, truncated
from finegrain.backbones.efficientnet import EfficientNetLite1
from finegrain.errors import InputError
from finegrain.pretraining.cache import encode_scenes
from finegrain.pretraining.scenes import render_scene
from finegrain.pretraining.zeroshot import evaluate_zero_shot

SENTENCES = ["a red circle", "a photo of a damaged object", "two smooth blue parts at the top left"]


@pytest.fixture(scope="module")
def clip() -> BundledClip:
    return BundledClip()


def test_tokens_are_of_unit_norm_and_whole_images(clip: BundledClip) -> None:
    images = [render_scene(seed).image for seed in (1, 2, 3)]
    tokens = clip.encode_images(clip.preprocess(images))
    assert tokens.grid == (15, 15)
    assert tokens.patches.shape == (3, 225, clip.embed_dim)
    assert [memory.shape[-1] for memory in tokens.memories] == [40, 112, 320]
    assert torch.allclose(tokens.patches.norm(dim=-1), torch.ones(3, 225), atol=1e-5)
    assert torch.allclose(tokens.image.norm(dim=-1), torch.ones(3), atol=1e-5)
    alone = clip.encode_images(clip.preprocess(images[1:2]))
    assert torch.allclose(alone.patches, tokens[1:2].patches, atol=1e-4)
    assert torch.allclose(alone.image, tokens[1:2].image, atol=1e-4)


def test_tokens_are_open_clips_own() -> None:
    texts = [*SENTENCES, "kidney-shaped, crinkled & 'blurry' PCB!", "part " * 100]
    assert torch.equal(tokenize(texts), SimpleTokenizer()(texts))


def test_truncated_text_is_padded_text(clip: BundledClip) -> None:
    ids = tokenize(SENTENCES)
    assert ids.shape == (3, 77)
    padded = clip.encode_prompts(clip.embed_tokens(ids), end_positions(ids))
    cut = truncated(ids)
    assert cut.shape[1] < 15
    short = clip.encode_prompts(clip.embed_tokens(cut), end_positions(cut))
    assert torch.allclose(padded, short, atol=1e-5)
    assert torch.allclose(clip.encode_text(SENTENCES), short, atol=1e-5)
    assert torch.allclose(short.norm(dim=-1), torch.ones(3), atol=1e-5)


def test_gradients_flow_into_prompts_and_nowhere_else(clip: BundledClip) -> None:
    ids = truncated(clip.tokenize(SENTENCES))
    prompts = clip.embed_tokens(ids).clone().requires_grad_()
    clip.encode_prompts(prompts, end_positions(ids))[:, 0].sum().backward()
    assert prompts.grad is not None
    ends = end_positions(ids)
    for row, end in enumerate(ends.tolist()):
        assert prompts.grad[row, : end + 1].abs().sum() > 0
        assert prompts.grad[row, end + 1 :].abs().sum() == 0  # nothing behind the end counts
    assert not clip.embed_tokens(ids).requires_grad


def test_unseen_words_are_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    clip = BundledClip()
    assert clip.dtype == torch.float32
    assert clip.unknown_words(["a red transistor at the left"]) == ["transistor"]
    assert clip.unknown_words(SENTENCES) == []
    with caplog.at_level(logging.WARNING):
        features = clip.encode_text(["a red transistor", "a red object"])
        clip.encode_text(["a red transistor"])
    assert [record.getMessage().count("transistor") for record in caplog.records] == [1]
    assert features[0] @ features[1] > 0.5  # an unknown noun leaves the rest of the sentence


def test_the_same_files_are_the_same_model(clip: BundledClip) -> None:
    again: FrozenClip = BundledClip()
    assert again.weights_hash == clip.weights_hash == load_backbone("bundled").weights_hash
    assert clip.name == "bundled"
    assert 5 < clip.logit_scale <= 100


def test_what_is_shipped_is_small_and_has_a_card() -> None:
    assert sum(path.stat().st_size for path in BUNDLED.iterdir()) < 8e6
    assert "Apache-2.0" in (BUNDLED / CARD_FILE).read_text()


@pytest.mark.parametrize(
    "harm", ["truncated", "missing", "tower", "sizes", "unknown key", "lacking key"]
)
def test_damaged_files_are_refused(tmp_path: Path, harm: str) -> None:
    folder = Path(shutil.copytree(BUNDLED, tmp_path / "model"))
    tower = EfficientNetLite1().weights_hash
    config = json.loads((folder / CONFIG_FILE).read_text())
    weights = folder / WEIGHTS_FILE
    if harm == "truncated":
        weights.write_bytes(weights.read_bytes()[:100_000])
    elif harm == "missing":
        weights.unlink()
    elif harm == "tower":
        tower = "0" * 64
    elif harm == "sizes":
        config["embed_dim"] = 128
    elif harm == "lacking key":
        del config["vision_cfg"]["tower"]
    else:
        config["text_cfg"]["depth"] = 3
    (folder / CONFIG_FILE).write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"does not fit|trained on|no setting|lacks"):
        load_grounded(folder, tower)


def test_words_find_what_they_name() -> None:
    """40 scenes of seeds that neither training nor the reported scores use."""
    scenes = encode_scenes(EfficientNetLite1(), range(3_000_000, 3_000_040))
    tower_hash = EfficientNetLite1().weights_hash
    scores = evaluate_zero_shot(load_grounded(BUNDLED, tower_hash), scenes)
    assert scores.color >= 0.8
    assert scores.shape >= 0.8
    assert scores.texture >= 0.8
    assert scores.defect_token_auroc >= 0.9


def test_no_position_in_patches(clip: BundledClip) -> None:
    """A uniform image has the same token everywhere but at its rim (the convolutions' padding)."""
    grey = np.full((240, 240, 3), 128, np.uint8)
    patches = clip.encode_images(clip.preprocess([grey])).patches[0].unflatten(0, (15, 15))
    inner = patches[6:9, 6:9].flatten(0, 1)
    assert (inner @ inner[4]).min() > 0.98
