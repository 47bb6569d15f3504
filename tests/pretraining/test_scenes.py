"""Scenes against their own pixels: what the facts say must be seen in the image and the masks."""

import subprocess
import sys

import numpy as np
import pytest
from scipy import ndimage

from finegrain.pretraining.facts import facts_from_json, facts_to_json
from finegrain.pretraining.layout import SIDE
from finegrain.pretraining.scenes import Scene, render_scene
from finegrain.pretraining.vocabulary import CELLS, COLORS


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [render_scene(seed) for seed in range(7000, 7200)]


def test_a_seed_is_a_scene() -> None:
    first, again, other = render_scene(5), render_scene(5), render_scene(6)
    assert np.array_equal(first.image, again.image)
    assert first.facts == again.facts
    assert np.array_equal(first.part_masks, again.part_masks)
    assert not np.array_equal(first.image, other.image)


def test_masks_agree_with_facts(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert scene.image.shape == (SIDE, SIDE, 3)
        assert len(scene.part_masks) == len(scene.facts.parts)
        assert scene.part_masks.sum(0).max(initial=0) <= 2  # what a chip laid bare may be another's
        assert {defect.kind for defect in scene.defects} == set(scene.facts.defects)
        for defect in scene.defects:
            assert defect.mask.sum() >= 12
            where = scene.part_masks[defect.part] if defect.part >= 0 else ~scene.part_masks.any(0)
            assert (defect.mask & where).sum() >= 0.5 * defect.mask.sum()


def test_faults_change_the_pixels_of_their_mask(scenes: list[Scene]) -> None:
    """Faulty tokens differ from the rest of their part more than sound pixels differ among them."""
    contrasts = []
    for scene in scenes:
        for defect in scene.defects:
            if defect.kind in ("crack", "hole", "stain", "cut") and defect.part >= 0:
                sound = scene.part_masks[defect.part] & ~defect.mask
                inside = scene.image[defect.mask].astype(float).mean(0)
                outside = scene.image[sound].astype(float).mean(0)
                contrasts.append(np.abs(inside - outside).max())
    assert len(contrasts) > 20
    assert np.median(contrasts) > 30


def test_colours_are_what_they_are_called(scenes: list[Scene]) -> None:
    names, table = list(COLORS), np.array(list(COLORS.values()), dtype=float)
    hits = []
    for scene in scenes:
        for part, mask in zip(scene.facts.parts, scene.part_masks, strict=True):
            plain = part.texture == "smooth" and not part.shade and not part.defects
            if plain and part.shape not in ("spherical", "cylindrical") and mask.sum() > 200:
                core = ndimage.binary_erosion(mask, iterations=3)
                seen = np.median(scene.image[core if core.any() else mask], axis=0)
                order = np.argsort(np.abs(table - seen).sum(1))[:2]
                hits.append(part.color in [names[i] for i in order])
    assert len(hits) > 30
    assert np.mean(hits) >= 0.9


def test_places_are_where_they_are_called(scenes: list[Scene]) -> None:
    wrong, told = [], 0
    for scene in scenes:
        for part, mask in zip(scene.facts.parts, scene.part_masks, strict=True):
            hidden = mask.sum() < 60 or len(scene.facts.parts) > 1
            if part.location not in CELLS or hidden or part.defects:
                continue
            y, x = (c / SIDE for c in ndimage.center_of_mass(mask))
            row = "top" if y < 0.38 else "bottom" if y > 0.62 else ""
            column = "left" if x < 0.38 else "right" if x > 0.62 else ""
            told += 1
            if (seen := f"{row} {column}".strip() or "center") != part.location:
                wrong.append((seen, part.location))
    assert told > 20
    assert not wrong


def test_numbers_are_counts(scenes: list[Scene]) -> None:
    seen = []
    for scene in scenes:
        if len(scene.facts.parts) == 1 and not scene.defects:
            part = scene.facts.parts[0]
            count = ndimage.label(ndimage.binary_opening(scene.part_masks[0]))[1]
            seen.append(6 <= count <= 9 if part.number == "multiple" else count == int(part.number))
    assert len(seen) > 20
    assert np.mean(seen) >= 0.9  # instances of a scattered part may touch


def test_facts_survive_json(scenes: list[Scene]) -> None:
    for scene in scenes[:20]:
        assert facts_from_json(facts_to_json(scene.facts)) == scene.facts


def test_generators_know_nothing_of_the_factory() -> None:
    script = (
        "import sys, finegrain.pretraining.training, finegrain.pretraining.scenes\n"
        "bad = [m for m in sys.modules if m.startswith(('finegrain.data', 'ray', 'mlflow'))]\n"
        "from finegrain.pretraining.training import training_sentences\n"
        "words = ' '.join(training_sentences(800)).replace('-', ' ').split()\n"
        "names = {'pcb', 'circuit', 'gasket', 'blister', 'pill', 'woven', 'fabric', 'bolt',"
        " 'bolted', 'plate', 'cable', 'wire', 'gear', 'bottle', 'mouth', 'capsule'}\n"
        "print(bad, names & set(words))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.stdout.strip() == "[] set()", result.stdout + result.stderr
