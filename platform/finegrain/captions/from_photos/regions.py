"""Which pixels of the shots show which component, from colours and joint tokens alone.

Every pixel is described by its colour in CIELAB and by the CLIP's joint tokens around it. Groups
of alike pixels of all shots are joined as long as they are near each other. What keeps to the
border of the shots is background, unless it lies everywhere: then the part fills the image.
K shots, S = SIDE, G groups of pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import ndimage

from finegrain.backbones import PatchTokens, RgbImage
from finegrain.captions.from_photos.lab import to_lab
from finegrain.captions.schema import MAX_COMPONENTS

SIDE = 120  # pixels of a side at which components are looked for
LIGHTNESS, HUE = 0.035, 0.05  # weight of L*, and of a* and b*: shades differ more than materials
TOKEN, DIRECTIONS = 1.35, 16  # weight of the joint tokens, and how many principal directions count
GROUPS, APART = 16, 1.1  # groups of pixels at first; means that are nearer than this are one
FITTED = 8000  # pixels that the groups are found on
RING = 4  # pixels along the border
INSIDE = 0.7  # a group is of the foreground if its share of the ring is below this of its inner one
COVERED = 0.6  # share of the ring that a background has at least
LEAST, ENCLOSED = 0.003, 0.002  # share of the pixels that a component has, and a hole, at least
SHARED = 0.75  # of the shots show a component
THIN, BETWEEN = 0.1, 12.0  # share of a rim that is two pixels deep, at most; its ΔE from a mixture
BACKGROUND = -1

Labels = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class PhotoRegions:
    """Where the components lie on the shots.

    Args:
        labels: (K,S,S) a component's index, the largest first, or BACKGROUND.
        lab: (K,S,S,3) the shots in CIELAB.
        count: of components.
        background: whether there is one; else the part fills the image.
    """

    labels: Labels
    lab: Floats
    count: int
    background: bool


def find_regions(shots: Sequence[RgbImage], tokens: PatchTokens) -> PhotoRegions:
    """The components that the shots share; the same for the same shots.

    Args:
        shots: K, of any size.
        tokens: of the shots.
    """
    small = np.stack([_reduced(shot) for shot in shots])
    lab = to_lab(small)
    weighted = lab * (LIGHTNESS, HUE, HUE)
    described = np.concatenate([weighted, TOKEN * _around(tokens)], -1)
    groups = _groups(described)
    ground = _ground(groups)
    groups, ground = _with_holes(groups, ground)
    labels, count = _shared(groups, ground, described, _rims(groups, lab, len(ground)))
    return PhotoRegions(labels, lab, count, bool(ground.any()))


def _reduced(shot: RgbImage) -> RgbImage:
    """(S,S,3) without single odd pixels."""
    small = Image.fromarray(shot).resize((SIDE, SIDE), Image.Resampling.BOX)
    smoothed: RgbImage = ndimage.median_filter(np.asarray(small), size=(3, 3, 1))
    return smoothed


def _around(tokens: PatchTokens) -> Floats:
    """(K,S,S,DIRECTIONS) the joint tokens around each pixel, in their principal directions."""
    patches = tokens.patches.float().cpu()
    centred = (patches - patches.mean((0, 1))).flatten(0, 1)
    _, _, directions = torch.linalg.svd(centred, full_matrices=False)
    turned = centred @ directions[:DIRECTIONS].T
    square = turned.view(len(patches), *tokens.grid, -1).permute(0, 3, 1, 2)
    large = F.interpolate(square, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
    return large.permute(0, 2, 3, 1).numpy()


def _groups(described: Floats) -> Labels:  # (K,S,S,X) -> (K,S,S)
    """Groups of alike pixels, from 0."""
    from sklearn.cluster import AgglomerativeClustering, KMeans

    points = described.reshape(-1, described.shape[-1])
    some = points[:: max(1, len(points) // FITTED)]
    count = min(GROUPS, len(np.unique(some, axis=0)))
    if count == 1:
        return np.zeros(described.shape[:3], dtype=np.int64)
    means = KMeans(count, n_init=2, random_state=0)  # type: ignore[no-untyped-call]
    means.fit(some)
    joined = AgglomerativeClustering(  # type: ignore[no-untyped-call]
        None, linkage="average", distance_threshold=APART
    )
    owners = joined.fit(means.cluster_centers_).labels_
    found: Labels = owners[means.predict(points)].reshape(described.shape[:3])  # type: ignore[no-untyped-call]
    return found


def _ground(groups: Labels) -> npt.NDArray[np.bool_]:  # (K,S,S) -> (G,)
    """Which groups are background; none where nothing keeps clear of the border."""
    ring = np.ones(groups.shape[1:], dtype=bool)
    ring[RING:-RING, RING:-RING] = False
    at_border, inside = _shares(groups[:, ring]), _shares(groups[:, ~ring])
    width = max(len(at_border), len(inside))
    at_border.resize(width, refcheck=False)
    inside.resize(width, refcheck=False)
    front = at_border < INSIDE * inside
    found = inside[front].sum() >= LEAST and at_border[~front].sum() >= COVERED
    return ~front if found else np.zeros(width, dtype=bool)


def _shares(groups: Labels) -> Floats:
    return np.bincount(groups.ravel()) / groups.size


def _with_holes(
    groups: Labels, ground: npt.NDArray[np.bool_]
) -> tuple[Labels, npt.NDArray[np.bool_]]:
    """Background that the part encloses becomes one more group, of the foreground."""
    holes = np.stack([_enclosed(shot) for shot in ground[groups]])
    if holes.mean() < ENCLOSED:
        return groups, ground
    return np.where(holes, len(ground), groups), np.append(ground, False)


def _enclosed(ground: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The pieces (S,S) of the background that do not reach the border."""
    pieces, _ = ndimage.label(ground)
    border = np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]])
    enclosed: npt.NDArray[np.bool_] = ground & ~np.isin(pieces, border)
    return enclosed


def _rims(groups: Labels, lab: Floats, count: int) -> npt.NDArray[np.bool_]:  # -> (G,)
    """Groups that are only a blurred edge: thin, and of a colour between those of two others."""
    means = np.stack([lab[groups == g].mean(0) for g in range(count)])
    rims = np.zeros(count, dtype=bool)
    for index in range(count):
        shown = groups == index
        deep = np.mean([ndimage.binary_erosion(shot, np.ones((3, 3))).sum() for shot in shown])
        if deep <= THIN * shown.sum((1, 2)).mean():
            others = np.delete(means, index, 0)
            rims[index] = any(
                _beside(means[index], one, other) <= BETWEEN for one in others for other in others
            )
    return rims


def _beside(color: Floats, one: Floats, other: Floats) -> float:
    """ΔE of a colour from the nearest mixture of two others; infinite where it is one of them."""
    line = other - one
    length = float(line @ line)
    share = float((color - one) @ line) / length if length else 0.0
    mixed = 0.15 <= share <= 0.85
    return float(np.linalg.norm(color - one - share * line)) if mixed else np.inf


def _shared(
    groups: Labels,
    ground: npt.NDArray[np.bool_],
    described: Floats,
    rims: npt.NDArray[np.bool_],
) -> tuple[Labels, int]:
    """The groups that (nearly) all shots show, by size.

    The pixels of others join the most alike of these, and those of a rim what lies beside them.
    """
    by_shot = np.stack([np.bincount(shot.ravel(), minlength=len(ground)) for shot in groups])
    area = by_shot.mean(0) / SIDE**2
    shown = (by_shot / SIDE**2 >= LEAST).mean(0) >= SHARED
    front = [int(g) for g in np.argsort(-area) if shown[g] and not (ground | rims)[g]]
    front = (front or [int(np.where(ground, 0, area).argmax())])[:MAX_COMPONENTS]
    names = np.full(len(ground), BACKGROUND)
    names[front] = range(len(front))
    means = np.stack([described[groups == g].mean(0) for g in front])
    for other in np.flatnonzero(~(ground | rims) & (names == BACKGROUND) & (area > 0)):
        own = described[groups == other].mean(0)
        names[other] = np.linalg.norm(means - own, axis=1).argmin()
    labels = [
        _beside_them(names[shot], edge) for shot, edge in zip(groups, rims[groups], strict=True)
    ]
    return np.stack(labels), len(front)


def _beside_them(labels: Labels, edge: npt.NDArray[np.bool_]) -> Labels:
    """The labels (S,S), those of an edge taken from the nearest pixel beside it."""
    if not edge.any() or edge.all():
        return labels
    nearest = ndimage.distance_transform_edt(edge, return_distances=False, return_indices=True)
    beside: Labels = labels[tuple(nearest)]
    return beside
