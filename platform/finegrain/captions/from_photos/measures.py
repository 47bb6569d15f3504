"""What pixels know of a component: how many there are, where they lie, which way they run.

K shots, S side of a mask. Each answer is None where the shots do not agree.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from finegrain.captions.vocabulary import VOCABULARY

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.floating[Any]]
T = TypeVar("T")
AGREED = 0.7  # share of the shots that must say the same
PIECE, SPECK = 0.2, 0.0008  # a piece has that share of the largest one, and of the image
MOST = max(int(number) for number in VOCABULARY["number"] if number.isdigit())
THIRD = 0.38  # of a side from each edge is left, right, top or bottom
FILLED = 0.9  # of the picture
SPREAD = 0.2  # standard deviation of pieces along both sides, in sides
STRETCHED = 1.6  # length over width that has a direction
TILT = 20.0  # degrees from an axis
COHERENT = 0.25  # of the gradients of a surface that has a direction


@dataclass(frozen=True)
class Pieces:
    """The connected pieces of a component on one shot.

    Args:
        places: (n,2) centres, x to the right and y down, in sides of the part's box.
        axes: (n,2) length over width, and the angle of the length in degrees, 0 to 180.
        area: share of the picture that all have.
    """

    places: Floats
    axes: Floats
    area: float


def pieces_of(mask: Mask, box: tuple[slice, slice]) -> Pieces:
    """The pieces of a component (S,S), without specks, seen within the part's box."""
    closed = ndimage.binary_closing(np.pad(mask, 2, mode="edge"), iterations=1)[2:-2, 2:-2]
    labels, count = ndimage.label(closed, np.ones((3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    least = max(PIECE * sizes.max(initial=0), SPECK * mask.size)
    found = [np.argwhere(labels == i + 1) for i in np.flatnonzero(sizes >= least)]
    rows, columns = box
    places = [
        (
            (points[:, 1].mean() + 0.5 - columns.start) / (columns.stop - columns.start),
            (points[:, 0].mean() + 0.5 - rows.start) / (rows.stop - rows.start),
        )
        for points in found
    ]
    axes = [_axis(points) for points in found]
    return Pieces(np.array(places).reshape(-1, 2), np.array(axes).reshape(-1, 2), mask.mean())


def _axis(points: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Length over width of pixels (n,2), rows and columns, and the angle of the length."""
    centred = points - points.mean(0)
    moments = centred.T @ centred / len(points) + np.eye(2) / 12  # a pixel is no point
    (small, large), directions = np.linalg.eigh(moments)
    down, right = directions[:, 1]
    return float(np.sqrt(large / small)), float(np.degrees(np.arctan2(down, right)) % 180)


def number(shots: Sequence[Pieces]) -> str | None:
    """How many there are; None where shots differ by more than one from their median."""
    counts = np.array([len(shot.places) for shot in shots])
    usual = round(float(np.median(counts)))
    if (counts > MOST).mean() >= AGREED:
        return "multiple"
    if usual < 1 or (np.abs(counts - usual) <= 1).mean() < AGREED:
        return "multiple" if (counts > 2).mean() >= AGREED else None
    return str(usual) if usual <= MOST else "multiple"


def location(shots: Sequence[Pieces]) -> str | None:
    """Where they lie."""
    return _agreed(_location, shots)


def _location(shot: Pieces) -> str | None:
    places = shot.places
    if shot.area >= FILLED:
        return "entire image"
    if not len(places):
        return None
    across, down = places.T
    cells = {(_third(x), _third(y)) for x, y in places.tolist()}
    if len(places) == 4 and cells == {(x, y) for x in (0, 2) for y in (0, 2)}:
        return "corners"
    if len(places) > 1 and {x for x, _ in cells} == {0, 2} and np.ptp(down) < THIRD:
        return "both sides"
    if len(places) > 3 and min(across.std(), down.std()) >= SPREAD:
        return "evenly distributed" if _regular(places) else "scattered"
    return _cell(float(across.mean()), float(down.mean()))


def _third(place: float) -> int:
    return int(place > THIRD) + int(place > 1 - THIRD)


def _cell(across: float, down: float) -> str:
    words = (("top", "", "bottom")[_third(down)], ("left", "", "right")[_third(across)])
    return " ".join(filter(None, words)) or "center"


def _regular(places: Floats) -> bool:
    """Whether each piece is about as far from its nearest neighbour as the others are."""
    apart = np.linalg.norm(places[:, None] - places, axis=2)
    np.fill_diagonal(apart, np.inf)
    nearest = apart.min(1)
    return bool(nearest.std() <= 0.25 * nearest.mean())


def direction(shots: Sequence[Pieces]) -> str | None:
    """Which way the pieces are stretched."""
    return _agreed(_direction, shots)


def _direction(shot: Pieces) -> str | None:
    words = Counter(_way(ratio, angle) for ratio, angle in shot.axes.tolist())
    word, times = words.most_common(1)[0] if words else (None, 0)
    return word if times >= AGREED * len(shot.axes) else None


def _way(ratio: float, angle: float) -> str | None:
    """What a length at that angle is called; None where there is none, or it lies between."""
    if ratio < STRETCHED:
        return None
    if min(angle, 180 - angle) <= TILT:
        return "horizontal"
    return "vertical" if abs(angle - 90) <= TILT else None


def grain(shots: Sequence[Floats]) -> str | None:
    """Which way the surface of a picture runs, from the second moments of its gradients (S,S)."""
    return _agreed(_grain, shots)


def _grain(lightness: Floats) -> str | None:
    down, across = np.gradient(ndimage.gaussian_filter(lightness, 1))
    xx, yy, xy = (across**2).mean(), (down**2).mean(), (across * down).mean()
    strength = xx + yy
    if strength == 0 or np.hypot(xx - yy, 2 * xy) / strength < COHERENT:
        return None
    steepest = np.degrees(np.arctan2(2 * xy, xx - yy)) / 2  # lines run across it
    return _way(STRETCHED, float((steepest + 90) % 180))


def _agreed(answer: Callable[[T], str | None], shots: Sequence[T]) -> str | None:
    """What enough shots say."""
    said, times = Counter(map(answer, shots)).most_common(1)[0]
    return said if times >= AGREED * len(shots) else None
