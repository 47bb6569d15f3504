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

from finegrain.clip.frozen_clip import FrozenClip, end_positions
from finegrain.method.config import PromptConfig
from finegrain.method.units import Unit, abnormal_sentences

NORMAL, HANDCRAFTED, LEARNABLE = 0, 1, 2
INIT_STD = 0.02
TAIL = 12  # tokens at the end of a sentence too long that stay: among them a defect's name
LENGTHS = 4  # groups of prompts of like length, so that short ones are not padded to the longest
PLACEHOLDER = None
Piece = int | None  # a token id, or the place of the next learnable placeholder


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

    base: Tensor
    ends: Tensor
    unit: Tensor
    kind: Tensor
    slots: Tensor

    def __init__(
        self, clip: FrozenClip, units: Sequence[Unit], config: PromptConfig, seed: int
    ) -> None:
        super().__init__()
        self._clip = clip
        self.units = tuple(units)
        rows = _Rows(clip, config.context)
        rng = np.random.default_rng(seed)
        for index, unit in enumerate(units):
            rows.add(index, NORMAL, rows.pieces(unit.sentence))
            for sentence in abnormal_sentences(unit, rng):
                rows.add(index, HANDCRAFTED, rows.pieces(sentence))
            for _ in range(config.learnable):
                rows.add(index, LEARNABLE, rows.open_pieces(unit))
        self.register_buffer("base", clip.embed_tokens(rows.ids()).detach(), persistent=False)
        for name, values in (("ends", rows.ends), ("unit", rows.unit), ("kind", rows.kind)):
            self.register_buffer(name, torch.tensor(values, device=clip.device), persistent=False)
        slots = torch.tensor(rows.slots, device=clip.device).view(-1, 2)  # row, column
        self.register_buffer("slots", slots, persistent=False)
        generator = torch.Generator().manual_seed(seed)
        width = self.base.shape[-1]
        self.context = _learnable(len(units), config.context, width, generator, clip.device)
        self.placeholders = _learnable(len(slots), 1, width, generator, clip.device)
        self.gates = nn.Parameter(torch.zeros(len(slots), device=clip.device))

    def forward(self) -> PromptFeatures:
        """All prompts through the frozen text tower."""
        count = self.context.shape[1]
        rows = torch.arange(len(self.base), device=self.base.device)[:, None].expand(-1, count)
        columns = torch.arange(1, count + 1, device=self.base.device).expand(len(rows), -1)
        context = self.context.index_select(0, self.unit)  # unlike [], adds gradients in order
        embeddings = self.base.index_put((rows, columns), context)
        row, column = self.slots.unbind(1)
        gated = torch.sigmoid(self.gates)[:, None] * self.placeholders[:, 0]
        embeddings = embeddings.index_put((row, column), gated)
        order = self.ends.argsort()
        features = torch.cat(
            [
                self._clip.encode_prompts(embeddings[rows], self.ends[rows])
                for rows in order.chunk(LENGTHS)
            ]
        )
        return PromptFeatures(features[order.argsort()], self.unit, self.kind, len(self.units))


def _learnable(
    rows: int, count: int, width: int, generator: torch.Generator, device: torch.device
) -> nn.Parameter:
    return nn.Parameter(
        (torch.randn(rows, count, width, generator=generator) * INIT_STD).to(device)
    )


class _Rows:
    """Token ids of all prompts; a sentence too long loses words before its end."""

    def __init__(self, clip: FrozenClip, context: int) -> None:
        self.clip, self.context = clip, context
        empty = clip.tokenize([""])
        self.start, self.end = empty[0, :2].tolist()
        self.room = empty.shape[1] - 2 - context
        self.tokens: list[list[int]] = []
        self.ends: list[int] = []
        self.unit: list[int] = []
        self.kind: list[int] = []
        self.slots: list[tuple[int, int]] = []

    def pieces(self, text: str) -> list[Piece]:
        """The tokens of a text, without start and end; word by word, for a text may be too long."""
        if not text.strip():
            return []
        words = self.clip.tokenize(text.split())
        ends = end_positions(words).tolist()
        return [p for word, end in zip(words.tolist(), ends, strict=True) for p in word[1:end]]

    def open_pieces(self, unit: Unit) -> list[Piece]:
        """The unit's sentence with placeholders for its values; one behind it if it has none."""
        pieces: list[Piece] = []
        begin = 0
        for value in unit.values:
            pieces += [*self.pieces(unit.sentence[begin : value.start]), PLACEHOLDER]
            begin = value.end
        pieces += self.pieces(unit.sentence[begin:])
        return pieces if unit.values else [*pieces, PLACEHOLDER]

    def add(self, unit: int, kind: int, pieces: list[Piece]) -> None:
        """One prompt: start, context, its pieces, end."""
        row = len(self.tokens)
        if len(pieces) > self.room:
            pieces = [*pieces[: self.room - TAIL], *pieces[-TAIL:]]
        before = [self.start] + [self.end] * self.context  # any token: context takes its place
        for column, piece in enumerate(pieces, len(before)):
            if piece is PLACEHOLDER:
                self.slots.append((row, column))
        self.tokens.append([*before, *(p or self.end for p in pieces), self.end])
        self.ends.append(len(self.tokens[-1]) - 1)
        self.unit.append(unit)
        self.kind.append(kind)

    def ids(self) -> Tensor:  # (P,L)
        """Padded to the longest prompt."""
        length = max(map(len, self.tokens))
        return torch.tensor([row + [0] * (length - len(row)) for row in self.tokens])
