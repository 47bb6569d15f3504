"""DPC-KNN against slow loops, and regions where the truth is known."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from finegrain.backbones import PatchTokens, encode
from finegrain.backbones.backbone import resize_square
from finegrain.method.config import RegionConfig
from finegrain.method.regions import (
    BACKGROUND,
    aggregate_regions,
    dense_centers,
    density_and_separation,
    joined,
    sliced,
)
from finegrain.method.units import Unit

GRID = (6, 6)
SWITCHES = ("semantic_centers", "semantic_dimension", "two_stages")


def slow_density(points, neighbours):
    """ρ and δ by the formulas."""
    array = points.double().numpy()
    count = len(array)
    distance = [[np.linalg.norm(a - b) / np.sqrt(array.shape[1]) for b in array] for a in array]
    rho = []
    for i in range(count):
        nearest = sorted(distance[i][j] for j in range(count) if j != i)[:neighbours]
        rho.append(np.exp(-np.mean([d**2 for d in nearest])))
    delta = []
    for i in range(count):
        denser = [distance[i][j] for j in range(count) if rho[j] > rho[i]]
        delta.append(min(denser) if denser else max(distance[i]))
    return np.array(rho), np.array(delta)


def test_density_and_separation_are_the_formulas():
    points = torch.rand(40, 3, generator=torch.Generator().manual_seed(0))
    density, separation = density_and_separation(points, neighbours=5)
    rho, delta = slow_density(points, 5)
    np.testing.assert_allclose(density, rho, rtol=1e-5)
    np.testing.assert_allclose(separation, delta, rtol=1e-4)
    expected = set(np.argsort(rho * delta)[-3:].tolist())
    assert set(dense_centers(points, 5, 3).tolist()) == expected


WIDTH, HARD = 64, 0.5


def a_category(parts, *, background=True, noise=0.1):
    """Prompts as a CLIP's: at cosines of about 0.8 to each other, and far from every token.

    A token is nearer to the prompt of what it shows than to any other by a tenth or so.
    """
    generator = torch.Generator().manual_seed(parts)

    def drawn(*shape):
        return F.normalize(torch.randn(*shape, WIDTH, generator=generator), dim=-1)

    names = [*range(parts), BACKGROUND] if background else [*range(parts)]
    units = [Unit("image", "", "", (), ("x",)), Unit("foreground", "", "", (), ("x",))]
    units += [Unit("component", str(i), "", (), ("x",)) for i in range(parts)]
    units += [Unit("background", "", "", (), ("x",))] if background else []
    sentence, photo, meanings = drawn(), drawn(), drawn(len(units))
    normal = F.normalize(2 * sentence + meanings, dim=-1)
    truth = torch.tensor([names[i % len(names)] for i in range(36)]).repeat(2, 1)
    place = torch.where(truth == BACKGROUND, parts, truth) + 2
    own = 0.4 * meanings[place] + noise * drawn(2, 36)
    patches = F.normalize(photo + 0.2 * sentence + own, dim=-1)
    shots = PatchTokens(patches[:, 0], patches, (patches,), GRID)
    return units, normal, shots, truth


def test_the_prompts_of_the_category_are_like_a_clip_s():
    _, normal, shots, _ = a_category(5)
    cosines = normal @ normal.T
    assert ((cosines > 0.6) & (cosines < 0.95)).logical_or(torch.eye(len(normal)) > 0).all()
    assert (shots.patches @ normal.T).max() < 0.7


@pytest.mark.parametrize("parts", [1, 2, 5])
@pytest.mark.parametrize("background", [True, False])
def test_regions_are_found_where_they_are(parts, background):
    units, normal, shots, truth = a_category(parts, background=background)
    found = aggregate_regions(units, normal, shots, None, RegionConfig())
    assert torch.equal(found.labels, truth)
    image, foreground, *rest = found.weights
    assert (image == 2.5).all()
    assert torch.equal(foreground == 2.5, truth != BACKGROUND)
    for index, weights in enumerate(rest[:parts]):
        assert torch.equal(weights, 1 + 1.5 * (truth == index))
    if background:
        assert torch.equal(rest[parts], 1 + 1.5 * (truth == BACKGROUND))


def slow_cluster(described, meaning, neighbours, semantic):
    """Each token's nearest centre, and the meaning that it stands for."""
    count = len(meaning[0])
    if count == 1:
        return np.zeros(len(described), int)
    if semantic:
        centers = []
        for name in range(count):  # the token most similar to its prompt, none of them twice
            order = np.argsort([-row[name] for row in meaning])
            centers.append(next(i for i in order if i not in centers))
    else:
        rho, delta = slow_density(torch.tensor(described), neighbours)
        centers = np.argsort(-rho * delta, kind="stable")[:count]
    nearest = np.array(
        [np.argmin([np.linalg.norm(x - described[c]) for c in centers]) for x in described]
    )
    if semantic:
        return nearest
    means = {(c, n): np.mean([m[n] for m in np.array(meaning)[nearest == c]])
             for c in range(count) for n in range(count)}  # fmt: skip
    names = {}
    for c, n in sorted(means, key=means.get, reverse=True):  # the most similar pair first
        if c not in names and n not in names.values():
            names[c] = n
    return np.array([names[c] for c in nearest])


def slow_labels(tokens, normal, parts, config):
    """Section 4 with loops, for a category with a background."""
    tokens, normal = tokens.double().numpy(), normal.double().numpy()
    references = normal[2:]  # components, then background
    similar = np.array([[z @ n for n in references] for z in tokens])
    described = similar if config.semantic_dimension else tokens
    if not config.two_stages:
        found = slow_cluster(described, similar, config.part_neighbours, config.semantic_centers)
        return np.where(found < parts, found, BACKGROUND)
    lead = [max(row[:-1]) - row[-1] for row in similar]
    seen = np.array(lead)[:, None] if config.semantic_dimension else tokens
    halves = [[x, -x] for x in lead]
    front = slow_cluster(seen, halves, config.ground_neighbours, config.semantic_centers) == 0
    labels = np.full(len(tokens), BACKGROUND)
    labels[front] = slow_cluster(
        described[front], similar[front, :-1], config.part_neighbours, config.semantic_centers
    )
    return labels


@pytest.mark.parametrize("off", [(), *((switch,) for switch in SWITCHES), SWITCHES])
@pytest.mark.parametrize("parts", [1, 2, 5])
def test_labels_are_those_of_slow_loops(parts, off):
    """With each modification of DPC-KNN off, on tokens that are hard to tell apart."""
    units, normal, shots, _ = a_category(parts, noise=HARD)
    config = RegionConfig(**dict.fromkeys(off, False))
    found = aggregate_regions(units, normal, shots, None, config)
    expected = slow_labels(shots.patches.flatten(0, 1), normal, parts, config)
    np.testing.assert_array_equal(found.labels.flatten(), expected)


@pytest.mark.parametrize("switch", SWITCHES)
def test_each_modification_changes_the_labels(switch):
    units, normal, shots, _ = a_category(5, noise=HARD)
    every, without = (
        aggregate_regions(units, normal, shots, None, RegionConfig(**{switch: on}))
        for on in (True, False)
    )
    assert not torch.equal(without.labels, every.labels)


def test_slices_go_back_where_they_came_from(backbone):
    """A picture of one colour a slice: after joining, each slice's tokens are that colour's."""
    shades = np.arange(16, dtype=np.uint8).reshape(4, 4) * 15
    picture = np.repeat(np.repeat(shades, 240, 0), 240, 1)[..., None].repeat(3, -1)
    fine = sliced(backbone, [picture, picture[::-1].copy()], 240)
    whole, grid = joined(fine)
    assert grid == (60, 60)
    square = whole.view(2, 60, 60, -1)
    for row, column in [(0, 0), (1, 2), (3, 3)]:
        flat = np.full((240, 240, 3), shades[row, column])
        alone = encode(backbone, [flat]).patches[0].view(15, 15, -1)
        there = square[0, 15 * row : 15 * row + 15, 15 * column : 15 * column + 15]
        torch.testing.assert_close(there, alone, atol=1e-4, rtol=0)
    assert resize_square(picture, 960).shape == (960, 960, 3)
    torch.testing.assert_close(square[1, :15], square[0, 45:], atol=1e-4, rtol=0)


def test_fine_weights_are_averaged_to_the_token_grid():
    units, normal, shots, _ = a_category(2)
    fine_patches = shots.patches.repeat_interleave(16, 0)  # every slice looks like its shot
    fine = PatchTokens(fine_patches[:, 0], fine_patches, (fine_patches,), GRID)
    found = aggregate_regions(units, normal, shots, fine, RegionConfig())
    assert found.grid == (24, 24)
    own = (found.labels == 0).float().view(2, 6, 4, 6, 4).mean((2, 4)).flatten(1)
    torch.testing.assert_close(found.own[2], own)
    torch.testing.assert_close(found.weights[2], 1 + 1.5 * own)
