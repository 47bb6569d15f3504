"""The face that every frozen CLIP shows to the method: a backbone whose tokens speak with text.

S prompts of L tokens, E width of token embeddings, D width of the joint space. Whatever precision
a model computes in, what comes out of it is float32.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from finegrain.backbones.backbone import Backbone

Rgb = tuple[float, float, float]


@runtime_checkable
class FrozenClip(Backbone, Protocol):
    """Image tokens and text features in one space; gradients reach prompt embeddings alone."""

    @property
    def dtype(self) -> torch.dtype:
        """The precision that the towers compute in."""
        ...

    @property
    def image_size(self) -> int:
        """Side of the square input in pixels."""
        ...

    @property
    def mean(self) -> Rgb:
        """What `preprocess` subtracts, on a 0-1 scale."""
        ...

    @property
    def std(self) -> Rgb:
        """What `preprocess` divides by, on a 0-1 scale."""
        ...

    @property
    def embed_dim(self) -> int:
        """D."""
        ...

    @property
    def logit_scale(self) -> float:
        """T, the trained temperature, already exponentiated (100 for most CLIPs)."""
        ...

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Sentences -> (S,L) ids with L the context length; what is longer loses its end."""
        ...

    def embed_tokens(self, ids: Tensor) -> Tensor:
        """(S,L) -> (S,L,E) without positions, so that learnable context can be put between."""
        ...

    def encode_prompts(self, embeddings: Tensor, end_positions: Tensor) -> Tensor:
        """(S,L,E), (S,) places of the end-of-text tokens -> (S,D) unit norm, differentiable."""
        ...

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Sentences -> (S,D) unit norm, without gradient."""
        ...


def end_positions(ids: Tensor) -> Tensor:  # (S,L) -> (S,)
    """Where each sentence's end-of-text token stands: CLIP's vocabulary has it last."""
    return ids.argmax(-1)
