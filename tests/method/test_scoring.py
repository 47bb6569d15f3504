"""PAD, VAD and their fusion against the equations written slowly."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import finegrain.method.memory as method_memory
from finegrain.backbones import PatchTokens
from finegrain.method.config import MemoryConfig, ScoringConfig
from finegrain.method.memory import VisualMemory
from finegrain.method.scoring import (
    UnitFeatures,
    class_scores,
    fused,
    harmonic_mean,
    image_scores,
    prompt_map,
)

GENERATOR = torch.Generator().manual_seed(4)


def unit_norm(*shape):
    return F.normalize(torch.randn(*shape, generator=GENERATOR), dim=-1)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize(
    ("config", "matched", "score"),
    [
        ({"matching": "query"}, 2, 0.5),
        ({"matching": "prompt"}, 1, 0.654754 * 0.401312 + 0.345246 * 0.5),
        ({"token_wise": False}, 1, (0.832018 + 0.401312 + 0.5) / 3),
    ],
)
def test_a_token_is_matched_by_the_queries_where_they_are_not_at_the_prompts(
    config, matched, score
):
    """z is nearest to n̄ of the component (cosine .8, .48 to the background's), and to the q of the
    background (.8, 0 to the component's), at T = 2. Shares: of the image unit, whose q is z itself,
    sigmoid(1.6) = .832018, component sigmoid(−.4) = .401312, background sigmoid(0) = .5; weights by
    n̄ sigmoid(±.64) = .654754, .345246.
    """
    units = UnitFeatures(
        normal=torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.6, 0.8, 0.0]]),
        abnormal=torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.6, 0.8]]),
        queries=torch.tensor([[0.8, 0.0, 0.6], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]),
    )
    token, local = torch.tensor([[[0.8, 0.0, 0.6]]]), torch.tensor([1, 2])
    for reweighting, factor in ((False, 1), (True, 1.832018)):
        switches = ScoringConfig(**config, reweighting=reweighting)
        scores, best = prompt_map(token, units, local, 2.0, switches)
        assert int(best) == matched
        assert float(scores) == pytest.approx(min(factor * score, 1), abs=1e-5)


@pytest.mark.parametrize("reweighting", [True, False])
@pytest.mark.parametrize(
    ("token_wise", "matching"), [(True, "query"), (True, "prompt"), (False, "prompt")]
)
def test_prompt_map_is_equations_4_to_7(token_wise, matching, reweighting):
    normal = unit_norm(4, 8)
    units = UnitFeatures(normal, unit_norm(4, 8), normal[[0, 3, 2, 1]])  # q of 1 is at n̄ of 3
    patches, local, temperature = unit_norm(2, 5, 8), torch.tensor([1, 3]), 3.0
    config = ScoringConfig(token_wise=token_wise, matching=matching, reweighting=reweighting)
    scores, matched = prompt_map(patches, units, local, temperature, config)
    keys = units.queries if matching == "query" else units.normal
    for b in range(2):
        for i in range(5):
            z = patches[b, i]
            share = [sigmoid(temperature * float(z @ (units.abnormal[u] - units.normal[u])))
                     for u in range(4)]  # fmt: skip
            best = max((1, 3), key=lambda u: float(z @ keys[u]))
            first = sigmoid(temperature * float(z @ (keys[1] - keys[3])))  # softmax over two
            score = {
                (True, "query"): share[best],
                (True, "prompt"): first * share[1] + (1 - first) * share[3],
                (False, "prompt"): sum(share) / 4,
            }[token_wise, matching]
            if reweighting:
                score = min(score * (1 + share[0]), 1)
            assert int(matched[b, i]) == best
            assert float(scores[b, i]) == pytest.approx(score, rel=1e-4)


def test_class_score_is_the_image_pair_at_the_class_token():
    units = UnitFeatures(unit_norm(2, 8), unit_norm(2, 8), unit_norm(2, 8))
    image, patches = unit_norm(3, 8), unit_norm(3, 4, 8)
    scores = class_scores(PatchTokens(image, patches, (patches,), (2, 2)), units, 5.0)
    expected = [sigmoid(5 * float(z @ (units.abnormal[0] - units.normal[0]))) for z in image]
    np.testing.assert_allclose(scores, expected, rtol=1e-4)


def test_visual_memory_is_equation_1():
    shots = PatchTokens(unit_norm(2, 8), unit_norm(2, 4, 8),
                        (torch.randn(2, 4, 3), torch.randn(2, 4, 6)), (2, 2))  # fmt: skip
    tokens = PatchTokens(unit_norm(1, 8), unit_norm(1, 4, 8),
                         (torch.randn(1, 4, 3), torch.randn(1, 4, 6)), (2, 2))  # fmt: skip
    found = VisualMemory.of(shots).distances(tokens)[0]
    for i in range(4):
        levels = []
        for level, memory in zip(tokens.memories, shots.memories, strict=True):
            cosines = [
                float(F.cosine_similarity(level[0, i], m, dim=0)) for m in memory.flatten(0, 1)
            ]
            levels.append(0.5 * min(1 - c for c in cosines))
        assert float(found[i]) == pytest.approx(sum(levels) / 2, abs=1e-6)
    assert VisualMemory.of(shots).distances(shots).abs().max() < 1e-6


def test_harmonic_mean_of_zeros_is_zero():
    a, b = torch.tensor([0.0, 0.0, 0.5, 1.0]), torch.tensor([0.0, 0.7, 0.25, 1.0])
    expected = [0, 0, 1 / (2 + 4), 0.5]
    np.testing.assert_allclose(harmonic_mean(a, b), expected, atol=1e-5)


def grid_tokens(count, rows, columns):
    return PatchTokens(
        unit_norm(count, 8),
        unit_norm(count, rows * columns, 8),
        (torch.randn(count, rows * columns, 3, generator=GENERATOR),),
        (rows, columns),
    )


@pytest.mark.parametrize("finest", [1, 2])
@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("radius", [0, 0.3, None])
def test_the_map_compares_with_what_lies_near(radius, joint, finest):
    """A radius of 0.3 of the side is less than a row of three and more than a column of four."""
    shots, tokens = grid_tokens(2, 3, 4), grid_tokens(2, 3, 4)
    config = MemoryConfig(radius=radius, joint=joint, near=1, finest=finest, usual=0)
    found = VisualMemory.of(shots).compare(tokens, config)

    def distance(a, b):
        return 0.5 * (1 - float(F.cosine_similarity(a, b, dim=0)))

    def spread(level):
        every = level.flatten(0, 1)
        return np.mean([distance(a, b) for a in every for b in every])

    levels = [(tokens.memories[0], shots.memories[0], 1.0)]
    if joint:
        scale = spread(shots.memories[0]) / spread(shots.patches)
        levels.append((tokens.patches, shots.patches, scale))
    for image in range(2):
        for i in range(12):
            near = [
                j for j in range(12)
                if radius is None
                or (abs(i // 4 - j // 4) / 3 <= radius and abs(i % 4 - j % 4) / 4 <= radius)
            ]  # fmt: skip
            best = [
                scale * min(distance(level[image, i], memory[k, j]) for k in range(2) for j in near)
                for level, memory, scale in levels
            ]
            mean = (finest * best[0] + sum(best[1:])) / (finest + len(best) - 1)
            assert float(found[image, i]) == pytest.approx(min(mean, 1), abs=1e-5)


@pytest.mark.parametrize("near", [0, 0.25, 1])
def test_a_share_of_the_map_is_near_and_the_rest_among_turned_copies(near):
    shots, turned, tokens = grid_tokens(2, 3, 4), grid_tokens(6, 3, 4), grid_tokens(1, 3, 4)
    config = MemoryConfig(radius=0.0, near=near, joint=False, usual=0)
    found = VisualMemory.of(shots, turned).compare(tokens, config)[0]
    unit = [F.normalize(t.memories[0], dim=-1) for t in (tokens, shots, turned)]
    for i in range(12):
        z = unit[0][0, i]
        here = min(0.5 * (1 - float(z @ unit[1][k, i])) for k in range(2))
        anywhere = min(0.5 * (1 - float(z @ m)) for level in unit[1:] for m in level.flatten(0, 1))
        expected = near * here + (1 - near) * anywhere
        assert float(found[i]) == pytest.approx(expected, abs=1e-6)


def test_where_the_shots_differ_a_distance_counts_less():
    """A token of a shot lies nearer by half of its own distance to the other shot; one shot: 0."""
    shots, tokens = grid_tokens(2, 3, 4), grid_tokens(1, 3, 4)
    config = MemoryConfig(radius=None, joint=False, turned=False, usual=0.5)
    found = VisualMemory.of(shots).compare(tokens, config)[0]
    memory, unit = (F.normalize(t.memories[0], dim=-1) for t in (shots, tokens))

    def distance(a, b):
        return 0.5 * (1 - float(a @ b))

    for i in range(12):
        expected = min(
            max(distance(unit[0, i], m) - 0.5 * min(distance(m, n) for n in memory[1 - k]), 0)
            for k in range(2)
            for m in memory[k]
        )
        assert float(found[i]) == pytest.approx(expected, abs=1e-6)
    one = VisualMemory.of(shots[0:1])
    torch.testing.assert_close(one.compare(tokens, config), one.distances(tokens))


def test_what_is_usual_stays_known_where_a_shot_is_left_out():
    """So that a left-out shot is judged as a new part is, and not by a memory that knows less."""
    memory = VisualMemory.of(grid_tokens(2, 3, 4))
    assert torch.equal(memory.without(0).usual[0], memory.usual[0][1:])
    assert memory.without(0).usual[0].min() > 0


def test_what_is_usual_is_found_only_where_it_counts(monkeypatch):
    asked = []
    monkeypatch.setattr(method_memory, "_from_other_shots", lambda level: asked.append(level))
    memory = VisualMemory.of(grid_tokens(2, 3, 4), grid_tokens(6, 3, 4))
    memory.without(0).compare(grid_tokens(1, 3, 4), MemoryConfig(usual=0))
    assert asked == []


def test_a_memory_without_a_shot_is_that_of_the_others():
    shots, turned = grid_tokens(3, 3, 4), grid_tokens(9, 3, 4)
    left = VisualMemory.of(shots, turned).without(1)
    first, last = shots[0:1], shots[2:3]
    others = PatchTokens.concatenate([turned[0:3], turned[6:9]])
    expected = VisualMemory.of(PatchTokens.concatenate([first, last]), others)
    for one, other in zip((*left.levels, *left.turned), (*expected.levels, *expected.turned),
                          strict=True):  # fmt: skip
        assert torch.equal(one, other)


def test_the_map_without_switches_is_equation_1():
    memory, tokens = VisualMemory.of(grid_tokens(2, 3, 4)), grid_tokens(2, 3, 4)
    config = MemoryConfig(radius=None, joint=False, finest=1, usual=0)
    np.testing.assert_array_equal(memory.compare(tokens, config), memory.distances(tokens))


def test_fusions_of_maps():
    visual, prompt = torch.tensor([[0.1, 0.2]]), torch.tensor([[0.5, 0.25]])
    expected = {
        "weighted": [0.15, 0.25],
        "harmonic": [1 / 12, 1 / 9],
        "visual": [0.1, 0.2],
        "prompt": [0.5, 0.25],
    }
    for fusion, values in expected.items():
        np.testing.assert_allclose(fused(visual, prompt, fusion)[0], values, rtol=1e-4)


@pytest.mark.parametrize(
    ("image", "level", "peak"),
    [("visual", 0.5, 0.3), ("map", 0.5, 0.8), ("tail", 0, 0.65), ("tail", 0.5, 0.475)],
)
def test_the_image_score_is_equation_8_in_each_reading(image, level, peak):
    """H(0.4, max of Eq. 1), of the map, mean of its half, that less half its median of 0.35."""
    final, plain = torch.tensor([[0.2, 0.8, 0.1, 0.5]]), torch.tensor([[0.3, 0.1, 0.1, 0.1]])
    class_score = torch.tensor([0.4])

    def score(fusion):
        config = ScoringConfig(fusion=fusion, image=image, tail=0.5, level=level)
        return float(image_scores(plain if image == "visual" else final, class_score, config))

    both = 1 / (1 / 0.4 + 1 / peak)
    assert score("weighted") == pytest.approx(both, rel=1e-4)
    assert score("harmonic") == pytest.approx(both, rel=1e-4)
    assert score("visual") == pytest.approx(peak, rel=1e-4)
    assert score("prompt") == pytest.approx(0.4 if image == "visual" else both, rel=1e-4)
