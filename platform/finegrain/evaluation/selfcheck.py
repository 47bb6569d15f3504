"""What K photos say of the detector that was fitted on them, before any test image is there.

Defects are painted on each photo, which is scored against the others; one photo alone is scored
against itself, by a changed copy. So a method is told how small a defect it still finds, and how
often it would be wrong about good parts.

K photos, P painted defects, S = MAP_SIZE.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from finegrain.backbones import PatchTokens, RgbImage, encode
from finegrain.data.warping import reduced, to_rgb
from finegrain.decision.calibrate import CLEAR, expected, jittered, logarithms
from finegrain.decision.thresholds import FALSE_ALARMS, Expected, Thresholds
from finegrain.detectors import Detector
from finegrain.evaluation.figures import LABEL, TILE, Picture, outlined, overlay, text_line, tile
from finegrain.evaluation.photos import PhotoFault, alignment, photo_faults
from finegrain.evaluation.synthetic import KINDS, with_defect

AREAS = (0.003, 0.01, 0.03)  # of the image
MOST_PAINTED = 4  # photos
WEAK, FOUND = 0.8, 0.6  # of the expected AUROC, and of defects of 1 %: below that, advice is given
SHOWN = 6  # photos, and painted defects


@dataclass(frozen=True)
class Painted:
    """One painted defect: its kind, its share of the image, and whether it was found.

    Args:
        kind: of synthetic.KINDS.
        area: of AREAS.
        above: the share of good parts that are expected to score less.
        found: whether it was above the threshold.
    """

    kind: str
    area: float
    above: float
    found: bool


@dataclass(frozen=True)
class SelfCheck:
    """What was seen in a part's photos.

    Args:
        photos: how many.
        faults: of single photos.
        aligned: see `photos.alignment`.
        asked: false alarms among 100 good parts.
        false_alarms: left-out photos above a threshold that is calibrated on the others; None
            below three photos.
        painted: one for each defect.
        advice: what to do, most urgent first; none where nothing is wrong.
    """

    photos: int
    faults: tuple[PhotoFault, ...]
    aligned: float | None
    asked: float
    false_alarms: int | None
    painted: tuple[Painted, ...]
    advice: tuple[str, ...]

    @property
    def separation(self) -> float:
        """The AUROC expected of painted defects: what parts are ordered by; 0.5 is chance."""
        return float(np.mean([one.above for one in self.painted])) if self.painted else 0.5

    @property
    def doubtful(self) -> bool:
        """Whether there is something to do."""
        return bool(self.advice)

    def found(self, area: float, kind: str | None = None) -> float | None:
        """The share of painted defects of that size, and kind, that were found."""
        chosen = [p.found for p in self.painted if p.area == area and kind in (None, p.kind)]
        return float(np.mean(chosen)) if chosen else None


def self_check(
    detector: Detector,
    images: Sequence[RgbImage],
    tokens: PatchTokens,
    thresholds: Thresholds,
    *,
    seed: int = 0,
) -> tuple[SelfCheck, Picture]:
    """Look at the photos, and at how painted defects on them score; with a picture of it.

    Args:
        detector: fitted on the photos.
        images: K photos.
        tokens: of them.
        thresholds: calibrated on them.
        seed: of the defects.
    """
    generator = np.random.default_rng(seed)
    good = thresholds.scores
    assert good is not None  # what `calibrate` gives
    painted: list[Painted] = []
    tiles: list[Picture] = []
    for place in range(min(len(images), MOST_PAINTED)):
        some, pictures = _painted(detector, images, tokens, place, thresholds, good, generator)
        painted += some
        tiles += pictures if len(tiles) < SHOWN else []
    faults = tuple(photo_faults(images, tokens))
    aligned = alignment(tokens)
    alarms = _false_alarms(detector, tokens, thresholds) if len(images) > 2 else None
    check = SelfCheck(
        len(images), faults, aligned, thresholds.false_alarms or 0.0, alarms, tuple(painted), ()
    )
    with_advice = SelfCheck(**vars(check) | {"advice": tuple(advice(check))})
    return with_advice, _picture(images, faults, tiles)


def advice(check: SelfCheck) -> list[str]:
    """What to do about the photos and the part, most urgent first."""
    found = [f"photo {fault.place + 1} is {_as_words(fault)}" for fault in check.faults]
    if check.photos < 3:
        light = any(fault.kind in ("brighter", "darker") for fault in check.faults)
        number = "one" if check.photos == 1 else "two"
        differs = ", and light differs" if light else ""
        found.append(f"add {4 - check.photos} photos: only {number}{differs}")
    small = check.found(AREAS[1])
    if check.separation < WEAK:
        found.append(
            f"painted defects score above only {100 * check.separation:.0f} % of good parts: take "
            "photos nearer, in steadier light, or try another method"
        )
    elif small is not None and small < FOUND:
        missed = [kind for kind in KINDS if (check.found(AREAS[1], kind) or 0.0) < FOUND]
        found.append(
            f"{' and '.join(missed)} of 1 % of the area are mostly missed at "
            f"{check.asked:g} false alarms of 100: crop nearer to the part, or ask for more"
        )
    if check.false_alarms is not None and check.false_alarms > max(1, check.photos // 4):
        found.append(
            f"{check.false_alarms} of {check.photos} photos, left out, would be false alarms: the "
            "photos differ more than they should; add photos that show this"
        )
    return found


def _as_words(fault: PhotoFault) -> str:
    action = {"duplicate": "remove it", "other part": "move it to its own folder"}
    what = "perhaps of another part" if fault.kind == "other part" else fault.kind
    return f"{what} ({fault.detail}): {action.get(fault.kind, 'take it again')}"


def _painted(
    detector: Detector,
    images: Sequence[RgbImage],
    tokens: PatchTokens,
    place: int,
    thresholds: Thresholds,
    good: Expected,
    generator: np.random.Generator,
) -> tuple[list[Painted], list[Picture]]:
    """Each kind of defect in each size on one photo, scored by what has not seen it."""
    image = to_rgb(reduced(images[place])[0])  # painting a large one is slow
    if len(images) == 1:
        [image] = jittered(image, 1, generator, CLEAR)
    copies, masks, what = [], [], []
    for area in AREAS:
        for kind in KINDS:
            try:
                changed, mask = with_defect(image, kind, generator, area)
            except ValueError:  # nothing shows on it: a photo of a single colour
                continue
            copies.append(changed)
            masks.append(mask)
            what.append((kind, area))
    if not copies:
        return [], []
    other = detector.leaving_out(place, tokens)
    prediction = other.score(encode(detector.backbone, copies, windows=detector.windows))
    scores = np.maximum(prediction.image_scores, np.finfo(np.float32).tiny)
    found = [
        Painted(kind, area, 1 - good.false_alarms(float(score)) / 100,
                bool(score > thresholds.image))
        for (kind, area), score in zip(what, scores, strict=True)
    ]  # fmt: skip
    low, high = thresholds.pixel / 2, thresholds.pixel * 1.5
    pictures = []
    for index in range(len(copies)):
        if what[index][1] != AREAS[1]:
            continue
        heat = overlay(copies[index], prediction.anomaly_maps[index], low, high)
        verdict = "found" if found[index].found else "missed"
        title = text_line(f"{what[index][0]} 1 %: {verdict}", TILE)
        shown = tile(outlined(copies[index], masks[index]))
        pictures.append(np.concatenate([title, shown, tile(heat)]))
    return found, pictures


def _false_alarms(detector: Detector, tokens: PatchTokens, thresholds: Thresholds) -> int:
    """How many photos, left out, exceed a threshold that is calibrated on the other photos."""
    left_out = np.array([
        logarithms(detector.leaving_out(i, tokens), tokens[i : i + 1])[0, 0]
        for i in range(len(tokens))
    ])  # fmt: skip
    count = 0
    for place, score in enumerate(left_out):
        others = np.delete(left_out, place)
        limit = expected(others, np.full_like(others, -np.inf))
        count += bool(np.exp(score) > limit.exceeded_by(thresholds.false_alarms or FALSE_ALARMS))
    return count


def _picture(
    images: Sequence[RgbImage], faults: Sequence[PhotoFault], tiles: Sequence[Picture]
) -> Picture:
    """The photos in a row, and the painted defects of 1 % with their maps below."""
    wrong = {fault.place: fault.kind for fault in faults}
    shots = [
        np.concatenate([text_line(f"photo {i + 1} {wrong.get(i, '')}", TILE), tile(image)])
        for i, image in enumerate(images[:SHOWN])
    ]
    rows: list[Any] = [np.concatenate(shots, 1)]
    if tiles:
        rows.append(np.concatenate(tiles[:SHOWN], 1))
    width = max(row.shape[1] for row in rows)
    widened = [
        np.pad(row, ((0, LABEL // 2), (0, width - row.shape[1]), (0, 0)), constant_values=255)
        for row in rows
    ]
    return np.concatenate(widened)
