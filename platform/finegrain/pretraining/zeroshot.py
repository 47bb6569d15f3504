"""What the model knows without any shot: words against regions, images and tokens of new scenes.

Every question has fixed prompts; the answer is the prompt of highest cosine. A region is a part's
faultless tokens, pooled; place and number are asked of the class token.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from finegrain.backbones.clip.frozen_clip import end_positions
from finegrain.backbones.clip.grounded import GroundedModel
from finegrain.backbones.clip.word_pieces import tokenize, truncated
from finegrain.evaluation.metrics import image_curve
from finegrain.pretraining.cache import EncodedScenes
from finegrain.pretraining.facts import Facts, ScenePart
from finegrain.pretraining.lessons import FAULTY, part_weights
from finegrain.pretraining.objectives import pooled_regions
from finegrain.pretraining.vocabulary import (
    CELLS,
    COLORS,
    MATERIAL_WORDS,
    NUMBER_WORDS,
    SHAPE_WORDS,
    TEXTURE_WORDS,
)

WAYS: dict[str, tuple[str, ...]] = {
    "color": tuple(COLORS),
    "shape": tuple(SHAPE_WORDS),
    "texture": tuple(TEXTURE_WORDS),
    "background": tuple(COLORS),
    "material": tuple(MATERIAL_WORDS),
}
PART_PROMPTS = ("a {} part", "a {} object", "{}")
GROUND_PROMPTS = ("a {} background", "{} background")
COUNTS = tuple(NUMBER_WORDS)[:5]
NORMAL_PROMPTS = (
    "a photo of a flawless object", "a perfect object", "an object without defect",
    "an object without damage", "a photo of an unblemished part", "a part without flaw",
)  # fmt: skip
ABNORMAL_PROMPTS = (
    "a photo of a damaged object", "an object with flaw", "an object with defect",
    "an object with damage", "a photo of a broken part", "a part with crack", "a part with scratch",
    "a part with hole", "a part with stain", "a part with contamination",
)  # fmt: skip


@dataclass(frozen=True)
class ZeroShot:
    """Shares of right answers and areas under ROC curves, all in [0, 1]."""

    color: float
    shape: float
    texture: float
    background: float
    material: float
    location: float  # of nine, over parts at one of the nine places
    location_single: float  # the same in scenes of one kind of part
    count_within_1: float  # one to five instances, in scenes of one kind of part
    count_exact: float
    defect_token_auroc: float  # faulty tokens against all untouched ones, borders included
    defect_image_auroc: float  # class token: scenes with any fault against scenes without
    scenes: int


def evaluate_zero_shot(model: GroundedModel, scenes: EncodedScenes) -> ZeroShot:
    """All questions, asked of all scenes."""
    model = model.eval()
    with torch.no_grad():
        image, patches = _tokens(model, scenes)
        attributes = {name: _attribute(model, name, patches, scenes) for name in WAYS}
        places, single = _placed(model, image, scenes.facts)
        near, exact = _counted(model, image, scenes.facts)
        tokens, images = _defects(model, image, patches, scenes)
    return ZeroShot(
        **attributes,
        location=places,
        location_single=single,
        count_within_1=near,
        count_exact=exact,
        defect_token_auroc=tokens,
        defect_image_auroc=images,
        scenes=len(scenes),
    )


def encode_sentences(model: GroundedModel, texts: Sequence[str]) -> Tensor:  # (S,D)
    """Unit-norm features of sentences."""
    ids = truncated(tokenize(texts)).to(model.log_scale.device)
    return model.text(model.text.embed_tokens(ids), end_positions(ids))  # type: ignore[no-any-return]


def ensemble(model: GroundedModel, texts: Sequence[str]) -> Tensor:  # (D,)
    """The unit-norm mean of several sentences' features."""
    return F.normalize(encode_sentences(model, texts).mean(0), dim=-1)


def condition_scores(model: GroundedModel, features: Tensor) -> Tensor:  # (...,D) -> (...)
    """How much nearer features are to generic faulty prompts than to sound ones."""
    return features @ (ensemble(model, ABNORMAL_PROMPTS) - ensemble(model, NORMAL_PROMPTS))


def _tokens(model: GroundedModel, scenes: EncodedScenes) -> tuple[Tensor, Tensor]:
    device = model.log_scale.device
    parts = [
        model.image_tokens(chunk.to(device).float()) for chunk in torch.split(scenes.features, 64)
    ]
    return torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])


def _attribute(model: GroundedModel, name: str, patches: Tensor, scenes: EncodedScenes) -> float:
    """The share of regions whose value of one attribute is named rightly."""
    ground = name in ("background", "material")
    forms = GROUND_PROMPTS if ground else PART_PROMPTS
    prompts = torch.stack([ensemble(model, [f.format(v) for f in forms]) for v in WAYS[name]])
    touched = (scenes.defects > 0).any(1)
    right: list[bool] = []
    for b, facts in enumerate(scenes.facts):
        for owner, weights in _owners(facts, scenes.parts[b], touched[b], ground=ground):
            if not weights.any():
                continue
            region = pooled_regions(patches[b : b + 1], weights[None, None].to(patches.device))[0]
            answer = WAYS[name][int((region @ prompts.T).argmax())]
            right.append(answer == getattr(owner, name))
    return sum(right) / len(right)


def _owners(
    facts: Facts, cover: Tensor, touched: Tensor, *, ground: bool
) -> list[tuple[ScenePart | Facts, Tensor]]:
    """What carries the attribute, with the weights of its tokens."""
    if ground:
        free = (cover.sum(0) == 0) & ~touched
        return [(facts, free.float())]
    share = cover.float() / 255
    return [(part, part_weights(share[i], touched)) for i, part in enumerate(facts.parts)]


def _phrase(part: ScenePart, place: str) -> str:
    shade = f"{part.shade} " if part.shade else ""
    many = part.number != "1"
    noun = "parts" if many else "part"
    count = NUMBER_WORDS[part.number][0]
    where = "on both sides" if place == "both sides" else f"at the {place}"
    return f"{count} {shade}{part.color} {part.texture} {part.shape} {noun} {where}"


def _placed(model: GroundedModel, image: Tensor, facts: Sequence[Facts]) -> tuple[float, float]:
    """The share of parts placed rightly among nine: in all scenes, in scenes of one part."""
    right: list[bool] = []
    alone: list[bool] = []
    for b, scene in enumerate(facts):
        for part in scene.parts:
            if part.location not in CELLS:
                continue
            prompts = encode_sentences(model, [_phrase(part, place) for place in CELLS])
            hit = CELLS[int((prompts @ image[b]).argmax())] == part.location
            right.append(hit)
            if len(scene.parts) == 1:
                alone.append(hit)
    return sum(right) / len(right), sum(alone) / len(alone)


def _counted(model: GroundedModel, image: Tensor, facts: Sequence[Facts]) -> tuple[float, float]:
    """Shares of scenes of one part whose number is named within one, and exactly."""
    gaps: list[int] = []
    for b, scene in enumerate(facts):
        if len(scene.parts) != 1 or scene.parts[0].number not in COUNTS:
            continue
        part = scene.parts[0]
        asked = [_phrase(replace(part, number=n), part.location) for n in COUNTS]
        answer = int((encode_sentences(model, asked) @ image[b]).argmax()) + 1
        gaps.append(abs(answer - int(part.number)))
    return sum(g <= 1 for g in gaps) / len(gaps), sum(g == 0 for g in gaps) / len(gaps)


def _defects(
    model: GroundedModel, image: Tensor, patches: Tensor, scenes: EncodedScenes
) -> tuple[float, float]:
    faulty = (scenes.defects >= FAULTY).any(1)
    judged = faulty | ~(scenes.defects > 0).any(1)
    scores = condition_scores(model, patches).cpu()
    whole = condition_scores(model, image).cpu()
    return (
        image_curve(scores[judged].numpy(), faulty[judged].numpy()).auroc(),
        image_curve(whole.numpy(), faulty.any(1).numpy()).auroc(),
    )
