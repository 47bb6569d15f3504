"""Whether K photos are good ones of one part, told from the photos alone.

K photos, N patches, W width of features. The limits were set on four sets of photographs: good
photos stay below them, spoiled ones lie far above.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import ndimage
from torch import Tensor

from finegrain.backbones import PatchTokens, RgbImage
from finegrain.data.likeness import look

SIDE = 256  # pixels, to which a photo is reduced before it is looked at
BLURRED = 0.3  # of the others' sharpness; good photos have 0.5 or more of it
BRIGHTER = 1.4  # times as bright as the others
WHITE, CLIPPED = 250, 0.03  # grey level of 255 that shows nothing; share of such pixels
FAR = 1.75  # times as far from the others as they are from each other; a part of another kind: 2.2
NEAR_PLACES, ALIGNED = 2, 0.6  # patches a side; share of them that lie so near to their likes


@dataclass(frozen=True)
class PhotoFault:
    """What is wrong with one of the photos.

    Args:
        place: of the photo among the K.
        kind: duplicate, blurred, over-exposed, brighter, darker, or other part.
        detail: in words, with the measure.
    """

    place: int
    kind: str
    detail: str


def photo_faults(images: Sequence[RgbImage], tokens: PatchTokens) -> list[PhotoFault]:
    """What is wrong with the photos, at most one fault of each; none of a single photo but light.

    Args:
        images: K photos.
        tokens: of them.
    """
    greys = [_grey(image) for image in images]
    found: dict[int, PhotoFault] = {}
    for faults in (_doubles(images), _light(greys), _blurred(greys)):
        for fault in faults:
            found.setdefault(fault.place, fault)
    sound = [place for place in range(len(images)) if place not in found]
    for fault in _others(tokens, sound):
        found.setdefault(fault.place, fault)
    return [found[place] for place in sorted(found)]


def alignment(tokens: PatchTokens) -> float | None:
    """The share of patches whose nearest patch in another photo lies near the same place.

    Near 1 for parts that lie alike, and for turned ones the share of chance; None for one photo.
    """
    features = _features(tokens)
    rows, columns = tokens.grid
    places = torch.arange(rows * columns)
    shares = []
    for i in range(len(features)):
        for j in range(len(features)):
            if i != j:
                nearest = (features[i] @ features[j].T).argmax(1).cpu()
                down = (places // columns - nearest // columns).abs()
                across = (places % columns - nearest % columns).abs()
                near = (down <= NEAR_PLACES) & (across <= NEAR_PLACES)
                shares.append(float(near.float().mean()))
    return float(np.mean(shares)) if shares else None


def _grey(image: RgbImage) -> npt.NDArray[np.float32]:
    small = Image.fromarray(image).convert("L")
    small.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32)


def _doubles(images: Sequence[RgbImage]) -> list[PhotoFault]:
    looks = [look(image) for image in images]
    found = []
    for place in range(len(looks)):
        first = next((i for i in range(place) if looks[i].like(looks[place])), None)
        if first is not None:
            found.append(PhotoFault(place, "duplicate", f"the same picture as photo {first + 1}"))
    return found


def _light(greys: Sequence[npt.NDArray[np.float32]]) -> list[PhotoFault]:
    means = [float(grey.mean()) for grey in greys]
    white = [float((grey >= WHITE).mean()) for grey in greys]
    found = []
    for place in range(len(greys)):
        rest = _median_of_others(white, place)
        if white[place] > CLIPPED + (rest or 0.0):
            detail = f"{100 * white[place]:.0f} % of its pixels are white"
            found.append(PhotoFault(place, "over-exposed", detail))
            continue
        usual = _median_of_others(means, place)
        ratio = means[place] / max(usual, 1.0) if usual is not None else 1.0
        if not 1 / BRIGHTER <= ratio <= BRIGHTER:
            kind = "brighter" if ratio > 1 else "darker"
            found.append(PhotoFault(place, kind, f"{ratio:.1f} times as bright as the others"))
    return found


def _blurred(greys: Sequence[npt.NDArray[np.float32]]) -> list[PhotoFault]:
    sharpness = [float(ndimage.laplace(grey).var()) for grey in greys]
    found = []
    for place, value in enumerate(sharpness):
        usual = _median_of_others(sharpness, place)
        if usual and value < BLURRED * usual:
            detail = f"{100 * value / usual:.0f} % of the others' sharpness"
            found.append(PhotoFault(place, "blurred", detail))
    return found


def _others(tokens: PatchTokens, sound: Sequence[int]) -> list[PhotoFault]:
    """Photos that are far from all others, of three or more."""
    if len(sound) < 3:
        return []
    features = _features(tokens)
    distances = np.full((len(sound), len(sound)), np.nan)
    for i, first in enumerate(sound):
        for j in range(i):
            apart = _apart(features[first], features[sound[j]])
            distances[i, j] = distances[j, i] = apart
    found = []
    for i, place in enumerate(sound):
        rest = [j for j in range(len(sound)) if j != i]
        usual = float(np.nanmedian(distances[np.ix_(rest, rest)]))
        ratio = float(np.median(distances[i, rest])) / max(usual, 1e-6)
        if ratio > FAR:
            detail = f"{ratio:.1f} times as far from the others as they are from each other"
            found.append(PhotoFault(place, "other part", detail))
    return found


def _apart(one: Tensor, other: Tensor) -> float:
    """The mean distance, 1 - cosine, of the patches (N,W) to the nearest of the other photo."""
    cosines = one @ other.T
    return float(1 - (cosines.amax(0).mean() + cosines.amax(1).mean()) / 2)


def _features(tokens: PatchTokens) -> Tensor:  # -> (K,N,W) unit norm
    """The levels side by side, or the joint space where the backbone gives no level."""
    levels = [F.normalize(level, dim=-1) for level in tokens.memories or (tokens.patches,)]
    return F.normalize(torch.cat(levels, -1), dim=-1)


def _median_of_others(values: Sequence[float], place: int) -> float | None:
    others = [value for i, value in enumerate(values) if i != place]
    return float(np.median(others)) if others else None
