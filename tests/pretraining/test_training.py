"""The loop on a handful of scenes: it learns, and a resumed run is an uninterrupted one."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from finegrain.backbones.backbone import RgbImage
from finegrain.backbones.clip.grounded import GroundedConfig, GroundedModel
from finegrain.backbones.clip.image_heads import HeadConfig
from finegrain.backbones.clip.text_tower import UNKNOWN_ROW, TextConfig
from finegrain.backbones.clip.word_pieces import tokenize
from finegrain.backbones.tokens import PatchTokens
from finegrain.pretraining.cache import (
    EncodedScenes,
    encode_scenes,
    read_scenes,
    shard_path,
    token_cover,
    write_missing,
    write_shard,
)
from finegrain.pretraining.config import PretrainingConfig
from finegrain.pretraining.facts import Facts
from finegrain.pretraining.lessons import CAPTIONED, make_lesson
from finegrain.pretraining.steps import UNSEEN_TOKEN, Pretraining, hide_words
from finegrain.pretraining.training import Trainer, known_tokens, new_model

COUNT, GRID, WIDTH = 24, 15, 40


class ColorTower:
    """A made-up tower: each patch's mean and deviation of colour through a fixed random map."""

    name, weights_hash, device = "colors", "none", torch.device("cpu")

    def preprocess(self, images: Sequence[RgbImage]) -> torch.Tensor:
        return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255

    def encode_images(self, pixels: torch.Tensor, windows: None = None) -> PatchTokens:
        squares = pixels.unflatten(2, (GRID, 16)).unflatten(4, (GRID, 16))
        seen = torch.cat([squares.mean((3, 5)), squares.std((3, 5))], 1).flatten(2).transpose(1, 2)
        mixed = seen @ torch.randn(6, WIDTH, generator=torch.Generator().manual_seed(0))
        return PatchTokens(mixed.mean(1), mixed, (mixed,), (GRID, GRID))


@pytest.fixture(scope="module", autouse=True)
def few_drafts() -> Iterator[None]:
    """The words of fewer captions: of all 4000 they take longer to collect than to learn here."""
    known_tokens.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("finegrain.pretraining.training.DRAFTS_FOR_WORDS", 200)
        yield
    known_tokens.cache_clear()


@pytest.fixture(scope="module")
def scenes() -> EncodedScenes:
    return encode_scenes(ColorTower(), range(300, 300 + COUNT))


def narrow_model(scenes: EncodedScenes) -> GroundedModel:
    """`new_model` with narrow layers: the loop is the same, and a step takes a tenth."""
    tokens = known_tokens()
    heads = HeadConfig(width=WIDTH, hidden=64, around=16, heads=2, cell_width=16, join=64)
    words = TextConfig(len(tokens) + UNKNOWN_ROW + 1, width=32, heads=2, layers=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = GroundedModel(GroundedConfig(heads, words, embed_dim=64))
    model.text.know(tokens)
    model.patches.standardise(scenes.features)
    return model


def trainer(scenes: EncodedScenes, epochs: int) -> Trainer:
    settings = PretrainingConfig(scenes=COUNT, epochs=epochs, batch_size=8, peak_lr=5e-3)
    return Trainer(narrow_model(scenes), settings)


def test_a_few_steps_lower_the_loss(scenes: EncodedScenes) -> None:
    first, *_, last = trainer(scenes, 6).epochs(scenes)
    assert sum(last.losses.values()) < 0.95 * sum(first.losses.values())
    assert last.losses["scene"] < 0.85 * first.losses["scene"]


def test_resumed_is_uninterrupted(scenes: EncodedScenes, tmp_path: Path) -> None:
    whole = trainer(scenes, 2)
    for _ in whole.epochs(scenes):
        pass
    before = trainer(scenes, 2)
    next(before.epochs(scenes))
    torch.save(before.state(), tmp_path / "state.pt")
    after = trainer(scenes, 2)
    after.restore(torch.load(tmp_path / "state.pt", weights_only=True))
    assert [epoch.number for epoch in after.epochs(scenes)] == [2]
    for key, value in whole.model.state_dict().items():
        assert torch.equal(value, after.model.state_dict()[key]), key


def test_every_parameter_gets_a_gradient(scenes: EncodedScenes) -> None:
    model = new_model(scenes, 0)
    batch = scenes.subset(range(8))
    losses = Pretraining(model)(batch.features.float(), make_lesson(batch, 0), torch.Generator())
    losses.sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_lessons_tell_the_truth(scenes: EncodedScenes) -> None:
    lesson = make_lesson(scenes, 1)
    captioned = -(-COUNT // CAPTIONED)
    described = int((lesson.region_scene < captioned).sum())  # they come first, in their order
    assert lesson.region_truth.diagonal()[:described].all()
    assert lesson.scene_truth.diagonal()[:captioned].all()
    assert all((quiz.truth.sum(1) <= 1).all() for quiz in lesson.region_quizzes)
    faulty = scenes.defects[lesson.token_scene, :, lesson.token_index].amax(1) >= 20
    assert torch.equal(faulty, lesson.token_faulty)
    border = scenes.parts[lesson.token_scene, :, lesson.token_index].amax(1)
    assert ((border > 0) & (border < 255) & ~lesson.token_faulty).any()


def test_scenes_without_parts_or_faults_make_a_lesson(scenes: EncodedScenes) -> None:
    bare = [row for row, facts in enumerate(scenes.facts) if not facts.parts and not facts.defects]
    batch = scenes.subset((bare or [0]) * 2)
    if not bare:
        batch = replace(
            batch,
            parts=torch.zeros_like(batch.parts),
            defects=torch.zeros_like(batch.defects),
            facts=(Facts((), "grey", "plain"),) * 2,
        )
    model = new_model(scenes, 0)
    lesson = make_lesson(batch, 0)
    assert len(lesson.pair_token) == 0
    losses = Pretraining(model)(batch.features.float(), lesson, torch.Generator())
    assert torch.isfinite(losses).all()


def test_lessons_repeat_by_seed(scenes: EncodedScenes) -> None:
    assert make_lesson(scenes, 4).texts == make_lesson(scenes, 4).texts
    assert make_lesson(scenes, 4).texts != make_lesson(scenes, 5).texts


def test_hidden_words_are_the_unknown_token() -> None:
    ids = tokenize(["a red part at the left"] * 400)
    hidden = hide_words(ids, torch.Generator().manual_seed(0))
    changed = hidden != ids
    assert (hidden[changed] == UNSEEN_TOKEN).all()
    assert UNSEEN_TOKEN not in known_tokens()
    assert 0.15 < changed[:, 3].float().mean() < 0.35  # the noun
    assert not changed[:, 0].any()  # the start token
    assert not changed[:, 7:].any()  # the end token and what follows


def test_workers_share_the_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finegrain.pretraining.cache.SHARD", 2)
    made: list[tuple[int, int]] = []
    for rank in (0, 1):
        write_missing(
            tmp_path, ColorTower, range(6), rank=rank, workers=2,
            on_shard=lambda done, total: made.append((done, total)),
        )  # fmt: skip
    alone = encode_scenes(ColorTower(), range(6))
    shared = read_scenes(tmp_path, range(6))
    assert shared.facts == alone.facts
    assert torch.equal(shared.features, alone.features)
    assert len(list(tmp_path.iterdir())) == len(made) == 3
    write_missing(tmp_path, _no_tower, range(6))


def _no_tower() -> ColorTower:
    raise AssertionError("nothing was missing")


def test_token_cover_by_hand() -> None:
    mask = np.zeros((4, 4), dtype=np.bool_)
    mask[:2, :2] = True
    mask[0, 2] = True
    assert token_cover(mask, 2, 2).tolist() == [255, 64, 0, 0]  # 1, 1/4, 0, 0 of 255, rounded up


def test_shards_come_back(scenes: EncodedScenes, tmp_path: Path) -> None:
    write_shard(shard_path(tmp_path, range(COUNT)), scenes)
    back = read_scenes(tmp_path, range(COUNT))
    assert back.facts == scenes.facts
    assert torch.equal(back.features, scenes.features)
    assert torch.equal(back.defects, scenes.defects)


def test_untrained_models_repeat_by_seed(scenes: EncodedScenes) -> None:
    def weights(model: GroundedModel) -> torch.Tensor:
        return torch.cat([p.flatten() for p in model.parameters()])

    assert torch.equal(weights(new_model(scenes, 0)), weights(new_model(scenes, 0)))
    assert not torch.equal(weights(new_model(scenes, 0)), weights(new_model(scenes, 1)))
