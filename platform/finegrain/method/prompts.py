"""MLLP, the multi-level learnable prompts: all prompts of a category as one batch of embeddings.

NHP: learnable context, then the unit's sentence. AHP: the same context, an abnormal sentence.
ALP: the same context, the sentence with its attribute values replaced by learnable placeholders,
each weighted by its gate (Attr-MoE).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finegrain.backbones.clip.frozen_clip import FrozenClip
from finegrain.method.config import PromptConfig
from finegrain.method.prompt_rows import (
    INIT_STD,
    PLACEHOLDER,
    OpenPrompts,
    Piece,
    PromptRows,
    learnable_vectors,
)
from finegrain.method.units import Unit, abnormal_sentences

NORMAL, HANDCRAFTED, LEARNABLE = 0, 1, 2


@dataclass(frozen=True)
class PromptFeatures:
    """Unit-norm features of all prompts, and which are whose.

    Args:
        features: (P,D).
        unit: (P,) the unit of each.
        kind: (P,) NORMAL, HANDCRAFTED or LEARNABLE.
        units: U.
    """

    features: Tensor
    unit: Tensor
    kind: Tensor
    units: int

    def of(self, unit: int, *kinds: int) -> Tensor:
        """The features of one unit's prompts of those kinds."""
        chosen = sum((self.kind == kind for kind in kinds), torch.zeros_like(self.kind)) > 0
        return self.features[(self.unit == unit) & chosen]

    def mean(self, *kinds: int) -> Tensor:
        """(U,D): each unit's mean over its prompts of those kinds, not normalised."""
        return torch.stack([self.of(unit, *kinds).mean(0) for unit in range(self.units)])

    def normal(self) -> Tensor:
        """(U,D) n̄, unit norm."""
        return F.normalize(self.mean(NORMAL), dim=-1)

    def abnormal(self) -> Tensor:
        """(U,D) ā, the unit-norm mean over AHPs and ALPs."""
        return F.normalize(self.mean(HANDCRAFTED, LEARNABLE), dim=-1)


class PromptBank(nn.Module):
    """The prompts of one category's units; what learns are contexts, placeholders and gates.

    Args:
        clip: the frozen model; its text tower gives gradients to embeddings alone.
        units: of the category.
        config: numbers of contexts and ALPs.
        seed: of the initial values and of the replacements in AHPs.
    """

    unit: Tensor
    kind: Tensor

    def __init__(
        self, clip: FrozenClip, units: Sequence[Unit], config: PromptConfig, seed: int
    ) -> None:
        super().__init__()
        self.units = tuple(units)
        rows = PromptRows(clip, config.context)
        rng = np.random.default_rng(seed)
        unit_of: list[int] = []
        kinds: list[int] = []
        for index, unit in enumerate(units):
            sentences = abnormal_sentences(unit, rng)
            for sentence in (unit.sentence, *sentences):
                rows.add(rows.pieces(sentence))
            for _ in range(config.learnable):
                rows.add(open_pieces(rows, unit))
            own = [NORMAL] + [HANDCRAFTED] * len(sentences) + [LEARNABLE] * config.learnable
            unit_of += [index] * len(own)
            kinds += own
        self.prompts = OpenPrompts(rows)
        for name, values in (("unit", unit_of), ("kind", kinds)):
            self.register_buffer(name, torch.tensor(values, device=clip.device), persistent=False)
        generator = torch.Generator().manual_seed(seed)
        width, slots = self.prompts.base.shape[-1], len(rows.slots)
        scaled = config.initial * self.prompts.token_length() * width**-0.5
        std = scaled or INIT_STD
        self.context = learnable_vectors(
            len(units), config.context, width, generator, clip.device, std
        )
        self.placeholders = learnable_vectors(slots, 1, width, generator, clip.device, std)
        self.gates = nn.Parameter(torch.zeros(slots, device=clip.device))

    def forward(self) -> PromptFeatures:
        """All prompts through the frozen text tower."""
        context = self.context.index_select(0, self.unit)  # unlike [], adds gradients in order
        gated = torch.sigmoid(self.gates)[:, None] * self.placeholders[:, 0]
        features = self.prompts.encode(context, gated)
        return PromptFeatures(features, self.unit, self.kind, len(self.units))


def open_pieces(rows: PromptRows, unit: Unit) -> list[Piece]:
    """The unit's sentence with placeholders for its values; one behind it if it has none."""
    pieces: list[Piece] = []
    begin = 0
    for value in unit.values:
        pieces += [*rows.pieces(unit.sentence[begin : value.start]), PLACEHOLDER]
        begin = value.end
    pieces += rows.pieces(unit.sentence[begin:])
    return pieces if unit.values else [*pieces, PLACEHOLDER]
