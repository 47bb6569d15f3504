"""The caption of a category from its shots: what is sure is said, and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage

from finegrain.backbones import FrozenClip, RgbImage, encode
from finegrain.captions.from_photos import measures
from finegrain.captions.from_photos.answers import NOUNS, Answers
from finegrain.captions.from_photos.lab import color_name
from finegrain.captions.from_photos.regions import BACKGROUND, PhotoRegions, find_regions
from finegrain.captions.schema import Caption, Provenance
from finegrain.captions.templates import caption_from_facts

ANY = ("scratch", "crack", "stain", "hole", "contamination")  # what can befall any surface
OF_TEXTURE = {
    "woven": ("cut", "loose thread"),
    "knitted": ("cut", "loose thread"),
    "bristled": ("missing piece", "contamination"),
    "smooth": ("dent", "discoloration"),
    "striped": ("cut", "dent"),
}
OF_PARTS = ("chip", "breakage", "missing part")  # where there is an outline
OF_SEVERAL = ("misplaced part",)
OF_LONG = ("bend",)
MOST_PIXELS = 20_000  # of a component, that its colour is read from


@dataclass(frozen=True)
class PhotoCaption:
    """A caption, and the regions of the shots that it was read from."""

    caption: Caption
    regions: PhotoRegions


def caption_from_photos(
    dataset: str,
    category: str,
    shots: Sequence[RgbImage],
    clip: FrozenClip,
    shots_sha256: Sequence[str] = (),
) -> PhotoCaption:
    """Describe a category by K good photos of it, with no language model.

    Args:
        dataset: with `category` the caption's key.
        category: what the user calls the part; it is the foreground's name.
        shots: K.
        clip: the frozen model.
        shots_sha256: of the shots, for the provenance.
    """
    tokens = encode(clip, shots)
    regions = find_regions(shots, tokens)
    answers = Answers(clip, tokens)
    components: list[dict[str, object]] = []
    taken: list[str] = []
    for index in range(regions.count):
        component = _component(regions, index, answers, tokens.grid)
        name = component["name"] if component["name"] not in taken else None
        taken.append(str(name or next(noun for noun in NOUNS if noun not in taken)))
        several = component["number"] not in (None, "1")
        components.append({**component, "name": taken[-1] + "s" * several})
    facts = {
        "foreground": category.replace("_", " "),
        "background": _background(regions),
        "components": components,
        "defects": _defects(components, regions.background),
    }
    made_by = Provenance(source="photos", shots_sha256=tuple(shots_sha256))
    return PhotoCaption(caption_from_facts(dataset, category, facts, made_by), regions)


def _component(
    regions: PhotoRegions, index: int, answers: Answers, grid: tuple[int, int]
) -> dict[str, object]:
    """The facts of one component; what is not sure is None or empty."""
    masks = regions.labels == index
    pieces = [
        measures.pieces_of(mask, _box(labels != BACKGROUND))
        for mask, labels in zip(masks, regions.labels, strict=True)
    ]
    cover = F.adaptive_avg_pool2d(torch.from_numpy(masks).float()[:, None], grid).flatten(1)
    filling = masks.mean() >= measures.FILLED
    surface = measures.grain([shot[..., 0] for shot in regions.lab]) if filling else None
    return {
        "name": answers.name(cover),
        "number": "1" if filling else measures.number(pieces),
        "location": measures.location(pieces),
        "direction": surface if filling else measures.direction(pieces),
        "color": _listed(_color(regions, masks)),
        "texture": _listed(answers.sure("texture", cover)),
        "shape": [] if filling else _listed(answers.sure("shape", cover)),
    }


def _box(part: measures.Mask) -> tuple[slice, slice]:
    found = ndimage.find_objects(part.astype(np.int8))
    return found[0] if found else (slice(0, part.shape[0]), slice(0, part.shape[1]))


def _color(regions: PhotoRegions, masks: measures.Mask) -> str | None:
    pixels = regions.lab[masks]
    return color_name(pixels[:: 1 + len(pixels) // MOST_PIXELS])


def _listed(value: str | None) -> list[str]:
    return [] if value is None else [value]


def _background(regions: PhotoRegions) -> str | None:
    """Its colour; "plain" where that has no name; None where there is no background."""
    if not regions.background:
        return None
    return _color(regions, regions.labels == BACKGROUND) or "plain"


def _defects(components: Sequence[dict[str, object]], outlined: bool) -> list[str]:
    """The usual defects of such textures and shapes."""
    textures = [word for c in components for word in c["texture"]]  # type: ignore[attr-defined]
    found = [*ANY, *(defect for word in textures for defect in OF_TEXTURE.get(word, ()))]
    if outlined:
        found += OF_PARTS
    if len(components) > 1:
        found += OF_SEVERAL
    if outlined and any(c["direction"] for c in components):
        found += OF_LONG
    return list(dict.fromkeys(found))
