"""The ordinary path of a CLIP vision transformer and the value-value path beside it, in one pass.

B images, L = 1 + N tokens (class token first), W vision width, H heads. The modules are open_clip's
and stay as they are; only their weights and their layer norms, projections and MLPs are used.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class BothPaths(NamedTuple):
    """What the blocks leave: ordinary class token (B,W), V-V patches and memories (B,N,W)."""

    image: Tensor
    patches: Tensor
    memories: tuple[Tensor, ...]


def embed_pixels(visual: Any, pixels: Tensor) -> Tensor:  # (B,3,S,S) -> (B,L,W)
    """The first block's input: patch embeddings behind the class token, with positions."""
    patches = visual.conv1(pixels).flatten(2).transpose(1, 2)
    first = visual.class_embedding.expand(len(patches), 1, -1)
    embedded: Tensor = visual.ln_pre(torch.cat([first, patches], 1) + visual.positional_embedding)
    return embedded


def both_paths(blocks: Sequence[Any], x: Tensor, memory_depths: tuple[int, ...]) -> BothPaths:
    """Run the embedded input (B,L,W) through all blocks, on both paths (method.md §1).

    The V-V path adds out_proj(softmax(v vᵀ · scale) v) at every block, v of the ordinary path, and
    has no MLP. It never feeds back, so its class token is left out; and of the last block's
    ordinary path only the class token is computed, for nothing reads the others.

    Args:
        memory_depths: 1-based blocks after which the ordinary patches are kept; none is the last.
    """
    surgery, memories = x[:, 1:], []
    for depth, block in enumerate(blocks, 1):
        queries, keys, values = heads(block.attn, block.ln_1(x))
        seen = F.scaled_dot_product_attention(values[:, :, 1:], values, values)
        surgery = surgery + project(block.attn, seen)
        if depth == len(blocks):
            queries, x = queries[:, :, :1], x[:, :1]
        x = add_block(block, x, F.scaled_dot_product_attention(queries, keys, values))
        if depth in memory_depths:
            memories.append(x[:, 1:])
    return BothPaths(x[:, 0], surgery, tuple(memories))


def causal_path(blocks: Sequence[Any], x: Tensor) -> Tensor:  # (S,L,W) -> (S,L,W)
    """Run a text transformer's blocks; every token sees itself and those before it."""
    for block in blocks:
        attended = F.scaled_dot_product_attention(*heads(block.attn, block.ln_1(x)), is_causal=True)
        x = add_block(block, x, attended)
    return x


def heads(attention: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # (B,L,W) -> 3 (B,H,L,W/H)
    """Queries, keys and values of an nn.MultiheadAttention, from one projection."""
    joint = F.linear(x, attention.in_proj_weight, attention.in_proj_bias)
    split = joint.view(*x.shape[:2], 3, attention.num_heads, -1).transpose(1, 3)  # (B,H,3,L,W/H)
    queries, keys, values = split.unbind(2)
    return queries, keys, values


def project(attention: Any, attended: Tensor) -> Tensor:  # (B,H,L,W/H) -> (B,L,W)
    """Join the heads and project them, as nn.MultiheadAttention ends."""
    projected: Tensor = attention.out_proj(attended.transpose(1, 2).flatten(2))
    return projected


def add_block(block: Any, x: Tensor, attended: Tensor) -> Tensor:  # (B,L,W), (B,H,L,W/H)
    """The rest of an ordinary block once attention has been computed: both residuals."""
    x = x + block.ls_1(project(block.attn, attended))
    out: Tensor = x + block.ls_2(block.mlp(block.ln_2(x)))
    return out
