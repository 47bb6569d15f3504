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


def test_density_and_separation_are_the_formulas():
    points = torch.rand(40, 3, generator=torch.Generator().manual_seed(0))
    density, separation = density_and_separation(points, neighbours=5)
    array = points.double().numpy()
    distance = [[np.linalg.norm(a - b) / np.sqrt(3) for b in array] for a in array]
    rho = []
    for i in range(40):
        nearest = sorted(distance[i][j] for j in range(40) if j != i)[:5]
        rho.append(np.exp(-np.mean([d**2 for d in nearest])))
    delta = []
    for i in range(40):
        denser = [distance[i][j] for j in range(40) if rho[j] > rho[i]]
        delta.append(min(denser) if denser else max(distance[i]))
    np.testing.assert_allclose(density, rho, rtol=1e-5)
    np.testing.assert_allclose(separation, delta, rtol=1e-4)
    expected = set(np.argsort(np.array(rho) * np.array(delta))[-3:].tolist())
    assert set(dense_centers(points, 5, 3).tolist()) == expected


def a_category(parts, *, background=True):
    """Orthogonal prompts, and tokens near the prompt of the unit that they show."""
    names = [*range(parts), BACKGROUND] if background else [*range(parts)]
    normal = torch.eye(16)[: 2 + len(names)]
    units = [Unit("image", "", "", (), ("x",)), Unit("foreground", "", "", (), ("x",))]
    units += [Unit("component", str(i), "", (), ("x",)) for i in range(parts)]
    units += [Unit("background", "", "", (), ("x",))] if background else []
    generator = torch.Generator().manual_seed(parts)
    truth = torch.tensor([names[i % len(names)] for i in range(36)]).repeat(2, 1)
    place = torch.where(truth == BACKGROUND, parts, truth) + 2
    noise = 0.02 * torch.randn(2, 36, 16, generator=generator)
    patches = F.normalize(torch.eye(16)[place] + noise, dim=-1)
    shots = PatchTokens(patches[:, 0], patches, (patches,), GRID)
    return units, normal, shots, truth


@pytest.mark.parametrize("off", [None, *SWITCHES])
@pytest.mark.parametrize("parts", [1, 2, 5])
@pytest.mark.parametrize("background", [True, False])
def test_regions_are_found_where_they_are(parts, background, off):
    units, normal, shots, truth = a_category(parts, background=background)
    config = RegionConfig(**({off: False} if off else {}))
    found = aggregate_regions(units, normal, shots, None, config)
    # Plain centres may fall twice into one region, and among the tokens themselves the centre of
    # the foreground lies on one component: the others are no nearer to it than to the background.
    lost = off == "semantic_centers" or (off == "semantic_dimension" and background and parts > 1)
    if not lost:
        assert torch.equal(found.labels, truth)
    image, foreground, *rest = found.weights
    assert (image == 2.5).all()
    assert torch.equal(foreground == 2.5, found.labels != BACKGROUND)
    for index, weights in enumerate(rest[:parts]):
        assert torch.equal(weights, 1 + 1.5 * (found.labels == index))


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
