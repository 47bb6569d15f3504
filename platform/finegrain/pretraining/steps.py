"""One optimisation step: a lesson through the model to its losses.

Matches: regions with component captions, images with scene captions; tokens with sentences about
condition, in general, by kind of defect, and for the token's own part.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finegrain.backbones.clip.frozen_clip import end_positions
from finegrain.backbones.clip.grounded import GroundedModel
from finegrain.backbones.clip.word_pieces import tokenize, truncated
from finegrain.pretraining.lessons import GENERIC_PAIRS, Lesson, Quiz
from finegrain.pretraining.objectives import condition, contrast, pooled_regions
from finegrain.pretraining.vocabulary import NOUNS

WEIGHTS = {
    "region": 1.0,
    "scene": 1.0,
    "quiz": 1.0,  # every value of a visible attribute, against regions
    "place": 1.0,  # every place and every number, against images
    "bound": 1.0,  # one part of several, at its place and at wrong ones
    "token": 1.0,  # generic sound against faulty sentences
    "kind": 0.5,  # which defect, or none
    "own": 0.5,  # the part's caption against the same with a defect
    "image": 0.3,  # the class token: any defect at all
}
TEXT_CHUNKS = 8  # sentences are encoded with others of their length, to waste less padding


class Pretraining(nn.Module):
    """The model with its losses as `forward`, so that one wrapper makes it data-parallel."""

    def __init__(self, model: GroundedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: Tensor, lesson: Lesson, generator: torch.Generator) -> Tensor:
        """(B,N,W) features and their lesson -> the losses in the order of WEIGHTS."""
        with torch.autocast(features.device.type, torch.bfloat16):
            image, patches = self.model.image_tokens(features)
            text = self._encode(lesson.texts, generator)
        scale = self.model.logit_scale
        regions = pooled_regions(patches, lesson.region_weights)
        regions = regions[lesson.region_scene, lesson.region_slot]
        tokens = patches[lesson.token_scene, lesson.token_index]  # (M,D)
        generic = text[lesson.generic_text]  # (2G,D)
        normal, abnormal = generic[:GENERIC_PAIRS], generic[GENERIC_PAIRS:]
        losses = {
            "region": contrast(scale * regions @ text[lesson.region_text].T, lesson.region_truth),
            "scene": contrast(scale * image @ text[lesson.scene_text].T, lesson.scene_truth),
            "quiz": _mean_contrast(scale * regions, text, lesson.region_quizzes),
            "place": _mean_contrast(scale * image, text, lesson.scene_quizzes),
            "bound": self._bound(scale * image, text, lesson),
            "token": condition(
                scale * tokens @ (abnormal - normal).T, lesson.token_faulty[:, None]
            ),
            "kind": self._kinds(scale * tokens, normal, text[lesson.kind_text], lesson),
            "own": self._own(scale * tokens, text, lesson),
            "image": condition(scale * image @ (abnormal - normal).T, lesson.scene_faulty[:, None]),
        }
        return torch.stack([losses[name] for name in WEIGHTS])

    def _encode(self, texts: Sequence[str], generator: torch.Generator) -> Tensor:  # -> (S,D)
        tower = self.model.text
        device = tower.token_ids.device
        ids = hide_words(tokenize(texts), generator).to(device)
        order = end_positions(ids).argsort()
        parts = []
        for rows in order.chunk(TEXT_CHUNKS):
            chunk = truncated(ids[rows])
            parts.append(tower(tower.embed_tokens(chunk), end_positions(chunk)))
        return torch.cat(parts)[order.argsort()]

    @staticmethod
    def _kinds(tokens: Tensor, normal: Tensor, kinds: Tensor, lesson: Lesson) -> Tensor:
        """Cross-entropy over sound and the kinds of defect; any kind on the token is right."""
        sound = F.normalize(normal.mean(0, keepdim=True), dim=-1)
        logits = tokens @ torch.cat([sound, kinds]).T
        right = torch.cat([~lesson.token_faulty[:, None], lesson.token_kinds], 1)
        losses = logits.logsumexp(1) - logits.masked_fill(~right, -torch.inf).logsumexp(1)
        halves = [losses[lesson.token_faulty == side] for side in (False, True)]
        return torch.stack([half.mean() for half in halves if len(half)]).mean()

    @staticmethod
    def _bound(image: Tensor, text: Tensor, lesson: Lesson) -> Tensor:
        """Cross-entropy of the right place among wrong ones; 0 where no scene has several parts."""
        logits = (image[lesson.placed_scene, None] * text[lesson.placed_text]).sum(-1)
        losses = logits.logsumexp(1) - logits[:, 0]
        return losses.sum() / max(len(losses), 1)

    @staticmethod
    def _own(tokens: Tensor, text: Tensor, lesson: Lesson) -> Tensor:
        sound, faulty = text[lesson.pair_text].unbind(1)
        difference = (tokens[lesson.pair_token] * (faulty - sound)).sum(-1)
        return condition(difference, lesson.token_faulty[lesson.pair_token])


def _mean_contrast(rows: Tensor, text: Tensor, quizzes: Sequence[Quiz]) -> Tensor:
    return torch.stack([contrast(rows @ text[q.text].T, q.truth) for q in quizzes]).mean()


HIDDEN_NOUN, HIDDEN_WORD = 0.25, 0.02
UNSEEN_TOKEN = 0  # "!", which no caption contains: it takes the unknown row


def hide_words(ids: Tensor, generator: torch.Generator) -> Tensor:
    """Put the unknown token for some nouns and a few other words, so that its row is trained."""
    nouns = torch.isin(ids, _noun_ids())
    words = (ids > 0) & (ids < 49406)
    draw = torch.rand(ids.shape, generator=generator)
    hidden = (nouns & (draw < HIDDEN_NOUN)) | (words & (draw < HIDDEN_WORD))
    return ids.masked_fill(hidden, UNSEEN_TOKEN)


def _noun_ids() -> Tensor:
    ids: Tensor = torch.unique(tokenize(NOUNS)[:, 1])
    return ids
