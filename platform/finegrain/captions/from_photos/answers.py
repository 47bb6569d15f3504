"""What the frozen CLIP says of a component, zero-shot: texture, shape, and a name if it knows one.

K shots, N patches, D joint width.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from finegrain.backbones import FrozenClip, PatchTokens
from finegrain.backbones.clip.bundled import BundledClip
from finegrain.captions.vocabulary import alike_values

QUESTIONS: Mapping[str, tuple[str, ...]] = {
    "texture": ("smooth", "rough", "granular", "striped", "dotted", "crinkled", "bristled",
                "woven", "knitted"),
    "shape": ("circular", "oval", "square", "rectangular", "triangular", "hexagonal",
              "star-shaped", "cross-shaped", "crescent", "ring-shaped", "irregular"),
}  # fmt: skip
NAMES = (
    "bearing", "board", "bolt", "bottle", "button", "cable", "cap", "capsule", "chip", "coin",
    "connector", "cookie", "fabric", "foil", "gasket", "gear", "handle", "hook", "housing", "label",
    "leather", "lens", "lid", "nail", "nut", "pill", "pipe", "plate", "ring", "screw", "spring",
    "switch", "tile", "tube", "washer", "wheel", "wire", "wood", "zipper",
)  # fmt: skip
NOUNS = ("part", "piece", "element", "item", "component", "object", "workpiece", "product")
FORMS = ("{} object", "a {} part")
NAME_FORMS = ("a photo of a {}", "a close-up of a {}")
SURE = 0.7  # mean probability of an answer, and of those alike
FAMILIAR = {"texture": 0.3}  # least cosine with the bundled model's answer; it never saw a photo
KNOWN = 0.5  # share of NAMES that a model must have learned before it is asked for one
COVERED = 0.5  # share of a patch that shows the component


class Answers:
    """Zero-shot questions to a CLIP, about the patches that show a component.

    Args:
        clip: the frozen model; words that it never learned are not asked for.
        tokens: of the K shots.
    """

    def __init__(self, clip: FrozenClip, tokens: PatchTokens) -> None:
        self._patches, self._scale = tokens.patches, clip.logit_scale
        self._floors = FAMILIAR if isinstance(clip, BundledClip) else {}
        self._words = {name: _known(clip, words) for name, words in QUESTIONS.items()}
        self._texts = {name: _texts(clip, words, FORMS) for name, words in self._words.items()}
        names = _known(clip, NAMES)
        self._names = names if len(names) >= KNOWN * len(NAMES) else ()
        self._named = _texts(clip, self._names, NAME_FORMS)

    def sure(self, attribute: str, cover: Tensor) -> str | None:
        """The attribute's value; None where the model is not sure or sees no whole patch.

        Args:
            attribute: one of QUESTIONS.
            cover: (K,N) share of each patch that shows the component.
        """
        floor = self._floors.get(attribute, -1.0)
        return self._answer(self._words[attribute], self._texts[attribute], cover, floor)

    def name(self, cover: Tensor) -> str | None:
        """What it is called."""
        return self._answer(self._names, self._named, cover, -1.0)

    def _answer(
        self, words: Sequence[str], texts: Tensor, cover: Tensor, floor: float
    ) -> str | None:
        shown = cover.to(self._patches.device) >= COVERED
        if not words or not shown.any():
            return None
        similar = self._patches[shown] @ texts.T
        if similar.amax(1).mean() < floor:
            return None
        likely = (self._scale * similar).softmax(-1).mean(0)
        best = words[int(likely.argmax())]
        alike = alike_values(best)
        share = sum(float(p) for word, p in zip(words, likely, strict=True) if word in alike)
        return best if share >= SURE else None


def _known(clip: FrozenClip, words: Sequence[str]) -> tuple[str, ...]:
    unknown = set(clip.unknown_words(words)) if isinstance(clip, BundledClip) else set()
    return tuple(word for word in words if not unknown.intersection(word.split("-")))


def _texts(clip: FrozenClip, words: Sequence[str], forms: Sequence[str]) -> Tensor:
    """(words,D) each word's unit-norm mean over the forms."""
    if not words:
        return torch.empty(0, clip.embed_dim, device=clip.device)
    sentences = [form.format(word) for word in words for form in forms]
    features = clip.encode_text(sentences).view(len(words), len(forms), -1)
    return torch.nn.functional.normalize(features.mean(1), dim=-1)
