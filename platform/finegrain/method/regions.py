"""Region aggregation: which tokens of the shots show which unit (DPC-KNN, section 4).

The shots are seen at four times the input side, in 4 × 4 slices; each token is described by its
similarities to the normal prompts (the reference dimension); two clusterings with centres chosen by
meaning part background from foreground, then the components from each other. With centres chosen by
meaning a clustering is one step to the nearest centre, so DPC-KNN's densities, and with them
`ground_neighbours` and `part_neighbours`, count only where `semantic_centers` is off.
M tokens of all shots, X width of their description, C components.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from finegrain.backbones import Backbone, PatchTokens, RgbImage, encode
from finegrain.backbones.backbone import resize_square
from finegrain.method.config import RegionConfig
from finegrain.method.units import Unit

SLICES = 4  # a side
CHUNK = 1024  # tokens whose distances to all others are in memory at a time
BACKGROUND = -1


@dataclass(frozen=True)
class Regions:
    """Where each unit lies on the shots.

    Args:
        labels: (K,N') long on the grid of the clustering: a component's index, or BACKGROUND.
        grid: rows and columns of N'.
        own: (U,K,N) on the shots' token grid, the share of a token that is the unit's own.
        weights: (U,K,N) 1 + `weight` · `own`.
    """

    labels: Tensor
    grid: tuple[int, int]
    own: Tensor
    weights: Tensor


def aggregate_regions(
    units: Sequence[Unit],
    normal: Tensor,
    shots: PatchTokens,
    fine: PatchTokens | None,
    config: RegionConfig,
) -> Regions:
    """The regions of all units on the shots; without gradient.

    Args:
        units: of the category.
        normal: (U,D) unit-norm normal prompt features.
        shots: K.
        fine: tokens of the shots' slices, K·16 in the order of `sliced`; None to use `shots`.
        config: the four modifications.
    """
    patches, grid = (shots.patches, shots.grid) if fine is None else joined(fine)
    count, places, _ = patches.shape
    tokens = patches.flatten(0, 1)
    parts = [i for i, unit in enumerate(units) if unit.kind == "component"]
    ground = next((i for i, unit in enumerate(units) if unit.kind == "background"), None)
    labels = _labels(tokens, normal, parts, ground, config).view(count, places)
    own = torch.stack([_own(unit, i, parts, labels) for i, unit in enumerate(units)]).float()
    if grid != shots.grid:
        folded = own.view(-1, 1, *grid)
        own = F.adaptive_avg_pool2d(folded, shots.grid).view(len(units), count, -1)
    return Regions(labels, grid, own, 1 + config.weight * own)


def _own(unit: Unit, index: int, parts: Sequence[int], labels: Tensor) -> Tensor:
    """The tokens of a unit's own region; the image's is everywhere."""
    if unit.kind == "component":
        return labels == parts.index(index)
    if unit.kind == "background":
        return labels == BACKGROUND
    return labels != BACKGROUND if unit.kind == "foreground" else torch.ones_like(labels) > 0


def _labels(
    tokens: Tensor, normal: Tensor, parts: Sequence[int], ground: int | None, config: RegionConfig
) -> Tensor:  # (M,D) -> (M,)
    """Every token's component, or BACKGROUND.

    Departure: the first stage sees a token as how much more it resembles its best component than
    the background. In the full reference dimension a token of one component is no nearer to the
    centre of the foreground, which lies on another, than to that of the background.
    """
    if not parts:
        return torch.zeros(len(tokens), dtype=torch.long, device=tokens.device)
    references = [*parts, *([] if ground is None else [ground])]
    similar = tokens @ normal[references].T  # (M,C or C+1)
    described = similar if config.semantic_dimension else tokens
    if ground is None:
        return _cluster(described, similar, config.part_neighbours, config)
    if not config.two_stages:
        found = _cluster(described, similar, config.part_neighbours, config)
        return found.where(found < len(parts), BACKGROUND)
    lead = similar[:, :-1].amax(1, keepdim=True) - similar[:, -1:]
    halves = torch.cat([lead, -lead], 1)  # how much foreground, how much background
    seen = lead if config.semantic_dimension else tokens
    foreground = _cluster(seen, halves, config.ground_neighbours, config) == 0
    labels = torch.full((len(tokens),), BACKGROUND, device=tokens.device)
    labels[foreground] = _cluster(
        described[foreground], similar[foreground, :-1], config.part_neighbours, config
    )
    return labels


def _cluster(described: Tensor, meaning: Tensor, neighbours: int, config: RegionConfig) -> Tensor:
    """(M,X), (M,C) similarity to each of C meanings -> (M,) the cluster of one of them."""
    count = meaning.shape[1]
    if count == 1 or len(described) <= count:
        return meaning.argmax(1)
    if config.semantic_centers:
        return torch.cdist(described, described[semantic_centers(meaning)]).argmin(1)
    centers = dense_centers(described, neighbours, count)
    return _named(torch.cdist(described, described[centers]).argmin(1), meaning)


def semantic_centers(meaning: Tensor) -> Tensor:  # (M,C) -> (C,)
    """For each meaning the token most similar to its prompt; a token is a centre once."""
    left = meaning.clone()
    centers = []
    for index in range(meaning.shape[1]):
        centers.append(int(left[:, index].argmax()))
        left[centers[-1]] = -torch.inf
    return torch.tensor(centers, device=meaning.device)


def density_and_separation(tokens: Tensor, neighbours: int) -> tuple[Tensor, Tensor]:
    """ρ and δ of DPC-KNN: (M,X) -> (M,), (M,), with d = ‖x−y‖ / √X.

    ρ is exp of minus the mean squared distance to the k nearest; δ is the distance to the nearest
    denser token, and to the farthest of all for the densest. In float64: the densities of tokens
    that lie near each other are all but 1, and would be equal in float32.
    """
    tokens = tokens.double()
    scale = tokens.shape[1] ** -0.5
    k = min(neighbours, len(tokens) - 1)
    density = torch.cat(
        [
            (-_smallest(torch.cdist(rows, tokens) * scale, k).square().mean(1)).exp()
            for rows in torch.split(tokens, CHUNK)
        ]
    )
    separation = []
    for rows, own in zip(torch.split(tokens, CHUNK), torch.split(density, CHUNK), strict=True):
        distances = torch.cdist(rows, tokens) * scale
        to_denser = distances.masked_fill(density[None] <= own[:, None], torch.inf).amin(1)
        separation.append(to_denser.where(to_denser.isfinite(), distances.amax(1)))
    return density, torch.cat(separation)


def _smallest(distances: Tensor, k: int) -> Tensor:
    """The k smallest of each row, the token itself left out."""
    return distances.topk(k + 1, largest=False).values[:, 1:]


def dense_centers(tokens: Tensor, neighbours: int, count: int) -> Tensor:  # (M,X) -> (count,)
    """Plain DPC-KNN: the tokens of largest ρ·δ."""
    density, separation = density_and_separation(tokens, neighbours)
    return (density * separation).topk(count).indices


def _named(clusters: Tensor, meaning: Tensor) -> Tensor:
    """Clusters without names get the meanings, the most similar pair first, each once."""
    count = meaning.shape[1]
    means = torch.stack([meaning[clusters == label].mean(0) for label in range(count)])
    names = torch.zeros(count, dtype=torch.long, device=meaning.device)
    means = means.clone()
    for _ in range(count):
        label, name = divmod(int(means.argmax()), count)
        names[label] = name
        means[label], means[:, name] = -torch.inf, -torch.inf
    return names[clusters]


def sliced(backbone: Backbone, shots: Sequence[RgbImage], side: int) -> PatchTokens:
    """The tokens of each shot's 4 × 4 slices at four times the input side, row by row."""
    slices = []
    for shot in shots:
        large = resize_square(shot, SLICES * side)
        for top in range(0, SLICES * side, side):
            slices += [
                large[top : top + side, left : left + side]
                for left in range(0, SLICES * side, side)
            ]
    return encode(backbone, slices)


def joined(fine: PatchTokens) -> tuple[Tensor, tuple[int, int]]:
    """Tokens of slices put back: (K·16,N,D) -> (K,16·N,D) row by row, and the large grid."""
    rows, columns = fine.grid
    width = fine.patches.shape[-1]
    square = fine.patches.view(-1, SLICES, SLICES, rows, columns, width)
    whole = square.permute(0, 1, 3, 2, 4, 5).flatten(1, 4)
    return whole, (SLICES * rows, SLICES * columns)
