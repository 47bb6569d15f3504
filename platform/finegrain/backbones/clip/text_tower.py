"""A small causal transformer over CLIP's byte-pair tokens, with rows only for the words it knows.

S sentences of L tokens, E text width, D joint width. Row 0 stands for every token that training
never saw: it was trained in their place, so an unknown noun says little, but no nonsense.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CONTEXT_LENGTH = 77
VOCABULARY = 49408  # CLIP's byte-pair tokens
UNKNOWN_ROW = 0


@dataclass(frozen=True)
class TextConfig:
    """Sizes of the text tower; `vocab_size` counts the known tokens and the unknown row."""

    vocab_size: int
    width: int = 192
    heads: int = 4
    layers: int = 3
    context_length: int = CONTEXT_LENGTH


def attend(q: Tensor, k: Tensor, v: Tensor, *, causal: bool = False) -> Tensor:
    """softmax(q kᵀ / √d) v; written out because torch's fused CPU kernel takes 5 times as long
    in bfloat16, forward and backward, at the 20 tokens of a caption.
    """
    scores = (q @ k.transpose(-1, -2)).float() * q.shape[-1] ** -0.5
    if causal:
        later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
        scores = scores.masked_fill(later, -torch.inf)
    weights: Tensor = scores.softmax(-1).to(v.dtype)
    return weights @ v


class Block(nn.Module):
    """A pre-norm transformer block: attention, then an MLP of `ratio` times the width."""

    def __init__(self, width: int, heads: int, ratio: int, *, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, ratio * width), nn.GELU(), nn.Linear(ratio * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:  # (S,L,E) -> (S,L,E)
        """Every token attends to all tokens, or to those before it if causal."""
        q, k, v = self.qkv(self.ln_1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        x = x + self.out(attend(q, k, v, causal=self.causal).transpose(1, 2).flatten(2))
        return x + self.mlp(self.ln_2(x))  # type: ignore[no-any-return]


class TextTower(nn.Module):
    """Token ids or prompt embeddings -> unit vectors of the joint space."""

    token_ids: Tensor
    row_of_token: Tensor

    def __init__(self, config: TextConfig, embed_dim: int) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("token_ids", torch.zeros(config.vocab_size - 1, dtype=torch.int32))
        self.register_buffer(
            "row_of_token", torch.zeros(VOCABULARY, dtype=torch.long), persistent=False
        )
        self.token_embedding = nn.Embedding(config.vocab_size, config.width)
        self.positions = nn.Parameter(_sinusoids(config.context_length, config.width) * 0.1)
        self.blocks = nn.Sequential(
            *(Block(config.width, config.heads, 4, causal=True) for _ in range(config.layers))
        )
        self.ln_final = nn.LayerNorm(config.width)
        self.projection = nn.Linear(config.width, embed_dim, bias=False)
        nn.init.normal_(self.token_embedding.weight, std=0.3)

    def know(self, token_ids: Tensor) -> None:
        """Give each of these CLIP token ids its row, from 1 on; call it after loading weights."""
        self.token_ids.copy_(token_ids)
        self.row_of_token.zero_()
        self.row_of_token[token_ids.long()] = torch.arange(
            1, len(token_ids) + 1, device=self.row_of_token.device
        )

    def embed_tokens(self, ids: Tensor) -> Tensor:  # (S,L) -> (S,L,E)
        """Token embeddings without positions; unknown tokens share a row."""
        return self.token_embedding(self.row_of_token[ids])  # type: ignore[no-any-return]

    def forward(self, embeddings: Tensor, end_positions: Tensor) -> Tensor:
        """(S,L,E) token or prompt embeddings, (S,) places of the end token -> (S,D) unit norm."""
        length = embeddings.shape[1]
        x = self.blocks(embeddings + self.positions[:length])
        ends = x[torch.arange(len(x), device=x.device), end_positions]
        return F.normalize(self.projection(self.ln_final(ends)).float(), dim=-1)


def _sinusoids(length: int, width: int) -> Tensor:
    rates = 10000 ** (-torch.arange(0, width, 2) / width)
    angles = torch.arange(length)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], -1)
