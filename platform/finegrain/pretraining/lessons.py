"""A batch of scenes made into a lesson: sentences, and tensors that say what each is true of.

B scenes, N tokens, R regions (parts and backgrounds), S sentences in all. The sentences are drawn
anew every epoch, so a cached scene is told in other words each time.
"""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from finegrain.pretraining.cache import KINDS, EncodedScenes
from finegrain.pretraining.captions import (
    SWAPS,
    background_caption,
    component_caption,
    misplaced,
    quiz,
    scene_caption,
    swapped,
    with_value,
)
from finegrain.pretraining.claims import VISIBLE, Statement
from finegrain.pretraining.facts import MAX_PARTS, Facts, ScenePart
from finegrain.pretraining.states import generic_pair, kind_sentence, part_pair

FAULTY = 20  # of 255: a token is faulty from 8% of its square on; below that it is neither
MIN_GROUND = 4  # tokens: a smaller background is not asked about
GENERIC_PAIRS = 8
CAPTIONED = 4  # one scene in so many gets captions; all of them get quizzes, which cost less
REGION_QUIZZES = ("color", "shape", "texture", "background", "material")
SCENE_QUIZZES = ("location", "number")
MISPLACED = 2  # wrong places for one part of every scene of several kinds


@dataclass(frozen=True)
class Quiz:
    """Every value of one attribute as a sentence, and which are true of each region or scene."""

    text: Tensor  # (V,)
    truth: Tensor  # (R,V), or (B,V) for places and numbers

    def to(self, device: torch.device) -> "Quiz":
        """The same quiz on a device."""
        return Quiz(self.text.to(device), self.truth.to(device))


@dataclass(frozen=True)
class Lesson:
    """Everything one optimisation step needs; the `*_text` fields are rows of `texts`."""

    texts: tuple[str, ...]
    region_quizzes: tuple[Quiz, ...]
    scene_quizzes: tuple[Quiz, ...]
    region_weights: Tensor  # (B,P+1,N), of each part and of the background
    region_scene: Tensor  # (R,) which of these are there: their scene,
    region_slot: Tensor  # (R,) and their place among its parts
    region_text: Tensor
    region_truth: Tensor  # (R,S_region) bool
    scene_text: Tensor
    scene_truth: Tensor  # (B,S_scene) bool
    placed_scene: Tensor  # (L,) scenes of several kinds of part,
    placed_text: Tensor  # (L,1+MISPLACED) one of their parts at its place, then at wrong ones
    generic_text: Tensor  # (2·GENERIC_PAIRS,) normal ones first
    kind_text: Tensor  # (K,)
    token_scene: Tensor  # (M,) sampled tokens: their scene,
    token_index: Tensor  # (M,) their place,
    token_faulty: Tensor  # (M,) bool,
    token_kinds: Tensor  # (M,K) bool, and the kinds of fault on them
    pair_token: Tensor  # (Q,) rows of the sampled tokens that lie on a part
    pair_text: Tensor  # (Q,2) that part's sentence, sound and faulty
    scene_faulty: Tensor  # (B,) bool

    def to(self, device: torch.device) -> "Lesson":
        """The same lesson with its tensors on a device."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        moved: dict[str, Any] = {
            name: value.to(device) for name, value in values.items() if isinstance(value, Tensor)
        }
        return replace(
            self,
            region_quizzes=tuple(quiz.to(device) for quiz in self.region_quizzes),
            scene_quizzes=tuple(quiz.to(device) for quiz in self.scene_quizzes),
            **moved,
        )


class _Texts:
    """Sentences without repeats, in order of first mention."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}

    def add(self, text: str) -> int:
        return self.rows.setdefault(text, len(self.rows))

    def add_all(self, texts: list[str]) -> Tensor:
        return torch.tensor([self.add(text) for text in texts], dtype=torch.long)


def make_lesson(batch: EncodedScenes, seed: int) -> Lesson:
    """The lesson of that seed for these scenes."""
    rng = np.random.default_rng(seed)
    texts = _Texts()
    faulty = (batch.defects >= FAULTY).any(1)  # (B,N)
    touched = (batch.defects > 0).any(1)
    weights, regions = _regions(batch, touched)
    captioned = -(-len(batch) // CAPTIONED)  # they come first
    described = [(b, p) for b, p in regions if b < captioned]
    said = [_of_region(batch.facts[b], p, rng) for b, p in described]
    said += [s for (b, p) in described if (s := _wrong(batch.facts[b], p, rng)) is not None]
    summaries = _summaries(batch.facts[:captioned], rng)
    pairs = [generic_pair(rng) for _ in range(GENERIC_PAIRS)]
    token_scene, token_index = _sampled_tokens(batch, faulty, touched, rng)
    token_faulty = faulty[token_scene, token_index]
    token_kinds = batch.defects[token_scene, :, token_index] >= FAULTY
    pair_token, pair_text = _own_pairs(
        batch, captioned, token_scene, token_index, token_kinds, texts, rng
    )
    placed_scene, placed_text = _placed(batch.facts, texts, rng)
    asked = {name: quiz(name, rng) for name in (*REGION_QUIZZES, *SCENE_QUIZZES)}
    return Lesson(
        region_quizzes=tuple(
            Quiz(_rows(texts, asked[name]), _region_truth(batch.facts, regions, asked[name]))
            for name in REGION_QUIZZES
        ),
        scene_quizzes=tuple(
            Quiz(_rows(texts, asked[name]), _scene_truth(batch.facts, asked[name]))
            for name in SCENE_QUIZZES
        ),
        region_weights=weights,
        region_scene=torch.tensor([b for b, _ in regions]),
        region_slot=torch.tensor([p % (MAX_PARTS + 1) for _, p in regions]),
        region_text=_rows(texts, said),
        region_truth=_region_truth(batch.facts, regions, said),
        scene_text=_rows(texts, summaries),
        scene_truth=_scene_truth(batch.facts, summaries),
        placed_scene=placed_scene,
        placed_text=placed_text,
        generic_text=texts.add_all([p[0] for p in pairs] + [p[1] for p in pairs]),
        kind_text=texts.add_all([kind_sentence(kind, rng) for kind in KINDS]),
        token_scene=token_scene,
        token_index=token_index,
        token_faulty=token_faulty,
        token_kinds=token_kinds,
        pair_token=pair_token,
        pair_text=pair_text,
        scene_faulty=faulty.any(1),
        texts=tuple(texts.rows),
    )


def _regions(batch: EncodedScenes, touched: Tensor) -> tuple[Tensor, list[tuple[int, int]]]:
    """Token weights (B,P+1,N) of parts and, last, backgrounds, faults left out; and which of
    them there are, as (scene, part), -1 for the background.
    """
    cover = batch.parts.float() / 255
    weights = torch.zeros(len(batch), MAX_PARTS + 1, cover.shape[-1])
    weights[:, -1] = (cover.sum(1) == 0) & ~touched
    found: list[tuple[int, int]] = []
    for b, facts in enumerate(batch.facts):
        for p in range(len(facts.parts)):
            weights[b, p] = part_weights(cover[b, p], touched[b])
        slots = (*range(len(facts.parts)), -1)
        found += [(b, p) for p in slots if weights[b, p].sum() >= (MIN_GROUND if p < 0 else 1e-3)]
    return weights, found


def part_weights(cover: Tensor, touched: Tensor) -> Tensor:  # (N,), (N,) -> (N,)
    """A part's tokens by how much it covers them; thin cover counts only if there is no other."""
    weight = cover * ~touched
    solid = weight * (cover >= 0.5 * cover.max())
    return solid if bool(solid.any()) else weight


def _of_region(facts: Facts, part: int, rng: np.random.Generator) -> Statement:
    if part < 0:
        return background_caption(facts, rng)
    return component_caption(facts.parts[part], rng)


def _wrong(facts: Facts, part: int, rng: np.random.Generator) -> Statement | None:
    """A hard negative: the part's caption with one visible attribute swapped, all of them told."""
    if part < 0 or rng.random() < 0.3:
        return None
    own = facts.parts[part]
    name = ("color", "shape", "texture")[int(rng.integers(3))]
    values = [value for value in SWAPS[name] if value != getattr(own, name)]
    return component_caption(
        with_value(own, name, values[int(rng.integers(len(values)))]), rng, whole=True
    )


def _region_truth(
    facts: tuple[Facts, ...], regions: list[tuple[int, int]], said: list[Statement]
) -> Tensor:
    """Regions show no place and no number, so only what is visible is judged."""
    return torch.tensor([[_true_of(facts[b], p, s) for s in said] for b, p in regions])


def _scene_truth(facts: tuple[Facts, ...], said: list[Statement]) -> Tensor:
    return torch.tensor([[statement.of_scene(one) for statement in said] for one in facts])


def _rows(texts: _Texts, said: list[Statement]) -> Tensor:
    return texts.add_all([statement.text for statement in said])


def _true_of(facts: Facts, part: int, statement: Statement) -> bool:
    claim = statement.claims[0]
    if part < 0:
        return claim.of_ground(facts)
    return claim.of_part(facts.parts[part], VISIBLE)


def _summaries(facts: tuple[Facts, ...], rng: np.random.Generator) -> list[Statement]:
    """A caption of each scene, then the same captions with one value swapped."""
    seeds = rng.integers(2**31, size=len(facts)).tolist()
    told = [scene_caption(f, np.random.default_rng(s)) for f, s in zip(facts, seeds, strict=True)]
    wrong = [swapped(t, f, s) for t, f, s in zip(told, facts, seeds, strict=True)]
    return told + [statement for statement in wrong if statement is not None]


def _placed(
    facts: tuple[Facts, ...], texts: _Texts, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    scenes, rows = [], []
    for b, scene in enumerate(facts):
        said = misplaced(scene, MISPLACED, rng)
        if said is None or any(wrong.of_scene(scene) for wrong in said[1:]):
            continue
        scenes.append(b)
        rows.append([texts.add(statement.text) for statement in said])
    return _indices(scenes), _indices(rows).view(-1, 1 + MISPLACED)


def _sampled_tokens(
    batch: EncodedScenes, faulty: Tensor, touched: Tensor, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Up to 6 faulty, 6 border, 4 inner and 4 background tokens of each scene."""
    cover = batch.parts.max(1).values
    border = (cover > 0) & (cover < 255) & ~touched
    inner = (cover == 255) & ~touched
    ground = (cover == 0) & ~touched
    scenes, places = [], []
    for b in range(len(batch)):
        for kind, most in ((faulty, 6), (border, 6), (inner, 4), (ground, 4)):
            found = kind[b].nonzero().ravel().numpy()
            chosen = rng.permutation(found)[:most]
            scenes += [b] * len(chosen)
            places += chosen.tolist()
    return _indices(scenes), _indices(places)


def _indices(values: list[Any]) -> Tensor:
    return torch.tensor(values, dtype=torch.long)  # also where there are none


def _own_pairs(
    batch: EncodedScenes,
    captioned: int,
    token_scene: Tensor,
    token_index: Tensor,
    token_kinds: Tensor,
    texts: _Texts,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """For tokens on a part: its caption, sound and with a fault (their own, or any)."""
    rows, pairs = [], []
    told: dict[tuple[int, int, str], tuple[int, int]] = {}
    spare = {(b, p): _any_kind(part, rng) for b, f in enumerate(batch.facts)
             for p, part in enumerate(f.parts)}  # fmt: skip
    unasked = {bp for bp in spare if not batch.facts[bp[0]].defects and rng.random() < 0.6}
    cover = batch.parts[token_scene, :, token_index]
    for row, (b, p) in enumerate(zip(token_scene.tolist(), cover.argmax(1).tolist(), strict=True)):
        if b >= captioned or cover[row, p] == 0:
            continue
        kinds = token_kinds[row].nonzero().ravel().tolist()
        kind = KINDS[kinds[0]] if kinds else spare[b, p]
        if (b, p) in unasked and not kinds:
            continue
        if (b, p, kind) not in told:
            sound, flawed = part_pair(batch.facts[b].parts[p], kind, rng)
            told[b, p, kind] = texts.add(sound), texts.add(flawed)
        rows.append(row)
        pairs.append(told[b, p, kind])
    return _indices(rows), _indices(pairs).view(-1, 2)


def _any_kind(part: ScenePart, rng: np.random.Generator) -> str:
    """One of the part's own faults, so that its sound tokens are set against them, or any."""
    kinds = part.defects or KINDS
    return kinds[int(rng.integers(len(kinds)))]
