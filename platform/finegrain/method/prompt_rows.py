"""Prompts as one batch of token embeddings, with open places that learnable vectors fill.

P prompts of L tokens, C context vectors before each text, S slots within the texts, E width of
token embeddings, D width of the joint space.
"""

from typing import Final

import torch
from torch import Tensor, nn

from finegrain.backbones.clip.frozen_clip import FrozenClip, end_positions

INIT_STD = 0.02
TAIL = 12  # tokens at the end of a sentence too long that stay: among them a defect's name
LENGTHS = 4  # groups of prompts of like length, so that short ones are not padded to the longest
PLACEHOLDER: Final = None
Piece = int | None  # a token id, or the place of the next learnable placeholder


class PromptRows:
    """Token ids of prompts, each behind learnable context; a text too long loses words before its
    end.
    """

    def __init__(self, clip: FrozenClip, context: int) -> None:
        self.clip, self.context = clip, context
        empty = clip.tokenize([""])
        self.start, self.end = empty[0, :2].tolist()
        self.room = empty.shape[1] - 2 - context
        self.tokens: list[list[int]] = []
        self.ends: list[int] = []
        self.slots: list[tuple[int, int]] = []  # row, column

    def pieces(self, text: str) -> list[Piece]:
        """The tokens of a text, without start and end; word by word, for a text may be too long."""
        if not text.strip():
            return []
        words = self.clip.tokenize(text.split())
        ends = end_positions(words).tolist()
        return [p for word, end in zip(words.tolist(), ends, strict=True) for p in word[1:end]]

    def add(self, pieces: list[Piece]) -> None:
        """One prompt: start, context, its pieces, end."""
        row = len(self.tokens)
        if len(pieces) > self.room:
            pieces = [*pieces[: self.room - TAIL], *pieces[-TAIL:]]
        before = [self.start] + [self.end] * self.context  # any token: context takes its place
        for column, piece in enumerate(pieces, len(before)):
            if piece is PLACEHOLDER:
                self.slots.append((row, column))
        filled = [self.end if piece is PLACEHOLDER else piece for piece in pieces]
        self.tokens.append([*before, *filled, self.end])
        self.ends.append(len(self.tokens[-1]) - 1)

    def ids(self) -> Tensor:  # (P,L)
        """Padded to the longest prompt."""
        length = max(map(len, self.tokens))
        return torch.tensor([row + [0] * (length - len(row)) for row in self.tokens])


class OpenPrompts:
    """The rows embedded once; only what fills their open places gets gradients."""

    def __init__(self, rows: PromptRows) -> None:
        self._clip, self.context = rows.clip, rows.context
        device = rows.clip.device
        self.base = rows.clip.embed_tokens(rows.ids()).detach()  # (P,L,E)
        self.ends = torch.tensor(rows.ends, device=device)  # (P,)
        self.slots = torch.tensor(rows.slots, device=device).view(-1, 2)  # (S,2) row, column

    def token_length(self) -> float:
        """The mean norm of the texts' token embeddings."""
        places = torch.arange(self.base.shape[1], device=self.ends.device)
        texts = (places > self.context) & (places < self.ends[:, None])  # neither start nor end
        return float(self.base.norm(dim=-1)[texts].mean())

    def encode(self, context: Tensor, fillers: Tensor) -> Tensor:  # (P,C,E), (S,E) -> (P,D)
        """All prompts through the frozen text tower."""
        count = len(self.base)
        rows = torch.arange(count, device=self.base.device)[:, None].expand(-1, self.context)
        columns = torch.arange(1, self.context + 1, device=self.base.device).expand(count, -1)
        embeddings = self.base.index_put((rows, columns), context)
        row, column = self.slots.unbind(1)
        embeddings = embeddings.index_put((row, column), fillers)
        order = self.ends.argsort()
        features = torch.cat(
            [
                self._clip.encode_prompts(embeddings[rows], self.ends[rows])
                for rows in order.chunk(LENGTHS)
            ]
        )
        return features[order.argsort()]


def learnable_vectors(
    rows: int,
    count: int,
    width: int,
    generator: torch.Generator,
    device: torch.device,
    std: float = INIT_STD,
) -> nn.Parameter:  # (rows,count,width)
    """Random vectors; by default small ones, as CoOp starts from."""
    return nn.Parameter((torch.randn(rows, count, width, generator=generator) * std).to(device))
