"""Where components stand: a location word and a number -> centres and the room around each."""

import numpy as np

SIDE = 240  # pixels
Circle = tuple[float, float, float]  # row, column, radius in pixels

_THIRDS = {"top": 0.19, "bottom": 0.81, "left": 0.19, "right": 0.81}
_SINGLE_RADIUS = {"center": (30, 78)}


def place(location: str, number: str, rng: np.random.Generator) -> list[Circle]:
    """Centres of the instances; "multiple" stands for six to nine of them."""
    count = int(rng.integers(6, 10)) if number == "multiple" else int(number)
    if location == "scattered":
        return _scattered(count, rng)
    if location == "corners":
        radius = float(rng.uniform(24, 34))
        inset = rng.uniform(0.14, 0.2)
        spots = [(inset, inset), (inset, 1 - inset), (1 - inset, inset), (1 - inset, 1 - inset)]
        return [_jittered(y, x, radius, 5, rng) for y, x in spots]
    if location == "both sides":
        radius = float(rng.uniform(25, 42))
        inset, height = rng.uniform(0.17, 0.22), rng.uniform(0.35, 0.65)
        return [_jittered(height, x, radius, 6, rng) for x in (inset, 1 - inset)]
    if count == 1:
        low, high = _SINGLE_RADIUS.get(location, (25, 44))
        radius = float(rng.uniform(low, high))
        y, x = cell_center(location)
        return [_jittered(y, x, radius, 10, rng)]
    return _row(location, count, rng)


def cell_center(location: str) -> tuple[float, float]:
    """Row and column of one of the nine places, as fractions of the image."""
    words = location.split()
    y = next((_THIRDS[w] for w in words if w in ("top", "bottom")), 0.5)
    x = next((_THIRDS[w] for w in words if w in ("left", "right")), 0.5)
    return y, x


def places_for(number: str) -> tuple[str, ...]:
    """The location words that can hold that many instances."""
    cells = ("center", "left", "right", "top", "bottom")
    corners = ("top left", "top right", "bottom left", "bottom right")
    if number == "1":
        return (*cells, *corners)
    if number == "2":
        return (*cells, *corners, "both sides", "scattered")
    if number == "4":
        return (*cells, "corners", "scattered")
    return ("scattered",) if number == "multiple" else (*cells, "scattered")


def _row(location: str, count: int, rng: np.random.Generator) -> list[Circle]:
    """A line of instances along the named side, or a line or ring about the named cell."""
    y, x = cell_center(location)
    spacing = float(rng.uniform(*((43, 48) if count > 3 else (50, 64)))) / SIDE
    if location in ("top left", "top right", "bottom left", "bottom right"):
        spacing = float(rng.uniform(44, 50)) / SIDE
    radius = spacing * SIDE * float(rng.uniform(0.43, 0.48))
    offsets = (np.arange(count) - (count - 1) / 2) * spacing
    if location == "center" and count > 2:
        turns = np.arange(count) * (2 * np.pi / count) + rng.uniform(0, 2 * np.pi)
        ring = spacing / (2 * np.sin(np.pi / count))
        return [
            _jittered(y + ring * np.sin(t), x + ring * np.cos(t), radius, 1.5, rng) for t in turns
        ]
    upright = location in ("left", "right") or (" " in location and rng.random() < 0.5)
    return [
        _jittered(y + (o if upright else 0), x + (0 if upright else o), radius, 1.5, rng)
        for o in offsets
    ]


def _scattered(count: int, rng: np.random.Generator) -> list[Circle]:
    """Instances over the whole image, each the best of a few tries to keep its distance."""
    radius = float(rng.uniform(*((23, 32) if count < 6 else (20, 24))))
    margin = radius / SIDE + 0.01
    spots: list[Circle] = []
    for _ in range(count):
        tries = rng.uniform(margin, 1 - margin, (12, 2)) * SIDE
        if spots:
            gaps = np.hypot(
                tries[:, None, 0] - [s[0] for s in spots], tries[:, None, 1] - [s[1] for s in spots]
            ).min(1)
            tries = tries[np.argsort(-gaps)]
        spots.append((float(tries[0, 0]), float(tries[0, 1]), radius))
    return spots


def _jittered(
    y: float, x: float, radius: float, jitter_px: float, rng: np.random.Generator
) -> Circle:
    """A centre near (y, x), given as fractions, kept wholly inside the image."""
    room = min(radius, SIDE / 2 - 1)
    spot = np.array([y, x]) * SIDE + rng.uniform(-jitter_px, jitter_px, 2)
    row, column = np.clip(spot, room + 1, SIDE - room - 1)
    return float(row), float(column), room


def overlaps(circles: list[Circle], others: list[Circle]) -> bool:
    """Whether any circle of the first list touches one of the second."""
    return any(
        np.hypot(a[0] - b[0], a[1] - b[1]) < 0.95 * (a[2] + b[2]) for a in circles for b in others
    )
