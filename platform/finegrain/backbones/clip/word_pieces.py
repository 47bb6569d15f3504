"""CLIP's byte-pair tokens through open_clip's tokenizer, cut to the longest sentence.

Causal attention makes what stands behind the end token irrelevant, so the cut changes no feature.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from finegrain.backbones.clip.frozen_clip import end_positions

START_TOKEN, END_TOKEN = 49406, 49407


@lru_cache(maxsize=1)
def _tokenizer() -> Any:
    from open_clip.tokenizer import SimpleTokenizer  # seconds, so only where words are read

    return SimpleTokenizer()


@lru_cache(maxsize=50_000)
def piece_ids(text: str) -> tuple[int, ...]:
    """The tokens of a text, without start and end."""
    return tuple(_tokenizer().encode(text))


def tokenize(texts: Sequence[str], context_length: int = 77) -> Tensor:
    """Sentences -> (S, context_length) ids, zeros behind the end token; too long ones are cut."""
    ids = torch.zeros(len(texts), context_length, dtype=torch.long)
    for row, text in zip(ids, texts, strict=True):
        pieces = [START_TOKEN, *piece_ids(text)[: context_length - 2], END_TOKEN]
        row[: len(pieces)] = torch.tensor(pieces)
    return ids


def truncated(ids: Tensor) -> Tensor:
    """The ids without the columns behind the last end token."""
    return ids[:, : int(end_positions(ids).max()) + 1]
