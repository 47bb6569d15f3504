"""Sentences about condition: flawless or faulty, in the forms that CLIP anomaly papers use.

The states and templates are those of WinCLIP's compositional ensemble and of PromptAD's defect
names ("X with crack"); the rest are everyday words for the same.
"""

import numpy as np

from finegrain.pretraining.captions import component_caption, pick
from finegrain.pretraining.facts import ScenePart
from finegrain.pretraining.vocabulary import DEFECT_WORDS, NOUNS

NORMAL_STATES = (
    "{}", "flawless {}", "perfect {}", "unblemished {}", "{} without flaw", "{} without defect",
    "{} without damage", "normal {}", "intact {}", "good {}", "clean {}", "{} without any anomaly",
    "undamaged {}", "{} in perfect condition", "healthy {}",
)  # fmt: skip
ABNORMAL_STATES = (
    "damaged {}", "{} with flaw", "{} with defect", "{} with damage", "abnormal {}", "broken {}",
    "defective {}", "faulty {}", "{} with a fault", "anomalous {}", "{} with an anomaly",
    "imperfect {}", "blemished {}", "flawed {}", "{} with defects",
)  # fmt: skip
KIND_FORMS = (
    "{} with {}", "{} with a {}", "{} with {} defect", "{} that has a {}", "{} has {}",
    "{} with some {}",
)  # fmt: skip
TEMPLATES = (
    "{}", "a photo of a {}.", "a photo of the {}.", "a cropped photo of the {}.",
    "a close-up photo of a {}.", "a bright photo of a {}.", "a dark photo of the {}.",
    "a blurry photo of the {}.", "a jpeg corrupted photo of a {}.", "a photo of a small {}.",
    "a photo of the large {}.", "a photo of the {} for visual inspection.",
    "a photo of a {} for anomaly detection.", "there is a {} in the scene.", "a {}", "the {}",
    "an image of a {}", "a low resolution photo of the {}", "a black and white photo of the {}.",
    "this is a {} in the scene.", "a photo of my {}.",
)  # fmt: skip


def generic_pair(rng: np.random.Generator) -> tuple[str, str]:
    """The same sentence about a sound and about a faulty object."""
    noun, template = _subject(rng), pick(TEMPLATES, rng)
    normal, abnormal = pick(NORMAL_STATES, rng), pick(ABNORMAL_STATES, rng)
    return template.format(normal.format(noun)), template.format(abnormal.format(noun))


def kind_sentence(kind: str, rng: np.random.Generator) -> str:
    """An object with that kind of defect, or the defect's name alone."""
    noun, template, form = _subject(rng), pick(TEMPLATES, rng), pick(KIND_FORMS, rng)
    word = pick(DEFECT_WORDS[kind], rng)
    if rng.random() < 0.2:
        return word
    return template.format(form.format(noun, word))


def part_pair(part: ScenePart, kind: str, rng: np.random.Generator) -> tuple[str, str]:
    """A part's own caption, and the same with a defect concatenated."""
    caption = component_caption(part, rng).text
    normal = pick(("{}", *NORMAL_STATES[4:7]), rng).format(caption)
    word = pick(DEFECT_WORDS[kind], rng)
    state = pick(("{} with {}", "{} with a {}", "{} with {} defect", "damaged {} with {}"), rng)
    generic = pick(("{} with defect", "{} with damage", "{} with flaw", "damaged {}"), rng)
    if rng.random() < 0.75:
        return normal, state.format(caption, word)
    return normal, generic.format(caption)


def _subject(rng: np.random.Generator) -> str:
    """A noun, at times with an adjective in front that says nothing about its state."""
    noun = pick((*NOUNS, "surface", "texture", "material"), rng)
    adjective = pick(("", "", "", "smooth", "textured", "grey", "metal", "round", "plain"), rng)
    return f"{adjective} {noun}".strip()
