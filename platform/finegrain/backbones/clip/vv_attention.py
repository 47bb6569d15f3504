"""The ordinary path of a CLIP vision transformer and the value-value path beside it, in one pass.

B images, L = 1 + N tokens (class token first), W vision width, H heads of width d; n windows.
The modules are open_clip's and stay as they are; only their weights and their layer norms,
projections and MLPs are used.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class BothPaths(NamedTuple):
    """What the blocks leave: ordinary class token (B,W), V-V patches and memories (B,N,W).

    Where windows are asked for, also the ordinary patches (B,N,W), and the class tokens (B,n,W) of
    those that share the pass.
    """

    image: Tensor
    patches: Tensor
    memories: tuple[Tensor, ...]
    ordinary: Tensor
    windows: Tensor


def embed_pixels(visual: Any, pixels: Tensor) -> Tensor:  # (B,3,S,S) -> (B,L,W)
    """The first block's input: patch embeddings behind the class token, with positions."""
    patches = visual.conv1(pixels).flatten(2).transpose(1, 2)
    first = visual.class_embedding.expand(len(patches), 1, -1)
    embedded: Tensor = visual.ln_pre(torch.cat([first, patches], 1) + visual.positional_embedding)
    return embedded


def both_paths(
    blocks: Sequence[Any],
    x: Tensor,
    memory_depths: tuple[int, ...],
    *,
    own: Tensor | None = None,
    all_ordinary: bool = False,
) -> BothPaths:
    """Run the embedded input (B,L,W) through all blocks, on both paths (method.md §1).

    The V-V path adds out_proj(softmax(v vᵀ · scale) v) at every block, v of the ordinary path, and
    has no MLP. It never feeds back, so its class token is left out; and of the last block's
    ordinary path only the class token is computed where nothing reads the others.

    Args:
        memory_depths: 1-based blocks after which the ordinary patches are kept; none is the last.
        own: (n,N) the patches of n windows, each of which gets a class token of its own that sees
            them and itself, and that nothing else sees.
        all_ordinary: compute the last block's patches too; so it is with windows.
    """
    length = x.shape[1]
    if own is not None:
        own = own.to(x.device)
        x = torch.cat([x, x[:, :1].expand(-1, len(own), -1)], 1)
    surgery, memories = x[:, 1:length], []
    for depth, block in enumerate(blocks, 1):
        queries, keys, values = heads(block.attn, block.ln_1(x))
        seen = values[:, :, :length]
        vv = F.scaled_dot_product_attention(seen[:, :, 1:], seen, seen)
        surgery = surgery + project(block.attn, vv)
        if depth == len(blocks) and own is None and not all_ordinary:
            queries, x = queries[:, :, :1], x[:, :1]
        attended = F.scaled_dot_product_attention(queries[:, :, :length], keys[:, :, :length], seen)
        if own is not None:
            of_windows = attend_own(queries[:, :, length:], keys[:, :, 1:], values[:, :, 1:], own)
            attended = torch.cat([attended, of_windows], 2)
        x = add_block(block, x, attended)
        if depth in memory_depths:
            memories.append(x[:, 1:length])
    return BothPaths(x[:, 0], surgery, tuple(memories), x[:, 1:length], x[:, length:])


def attend_own(queries: Tensor, keys: Tensor, values: Tensor, own: Tensor) -> Tensor:
    """Attention of each window's class token to itself and to the window's patches.

    Args:
        queries: (B,H,n,d) of the window tokens.
        keys: (B,H,N+n,d) of patches and window tokens.
        values: likewise.
        own: (n,N) whether a window covers a patch.

    Returns:
        (B,H,n,d).
    """
    count = own.shape[1]
    queries = queries * queries.shape[-1] ** -0.5
    of_patches = (queries @ keys[:, :, :count].mT).masked_fill(~own, -torch.inf)
    of_itself = (queries * keys[:, :, count:]).sum(-1, keepdim=True)
    weights = torch.cat([of_patches, of_itself], -1).softmax(-1)
    return weights[..., :-1] @ values[:, :, :count] + weights[..., -1:] * values[:, :, count:]


def causal_path(blocks: Sequence[Any], x: Tensor) -> Tensor:  # (S,L,W) -> (S,L,W)
    """Run a text transformer's blocks; every token sees itself and those before it."""
    for block in blocks:
        attended = F.scaled_dot_product_attention(*heads(block.attn, block.ln_1(x)), is_causal=True)
        x = add_block(block, x, attended)
    return x


def heads(attention: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # (B,L,W) -> 3 (B,H,L,W/H)
    """Queries, keys and values of an nn.MultiheadAttention, from one projection."""
    return split_heads(project_in(attention, x), attention.num_heads)


def project_in(attention: Any, x: Tensor) -> Tensor:  # (B,L,W) -> (B,L,3W)
    """Queries, keys and values side by side."""
    return F.linear(x, attention.in_proj_weight, attention.in_proj_bias)


def split_heads(joint: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """(B,L,3W) -> three (B,H,L,W/H)."""
    split = joint.view(*joint.shape[:2], 3, count, -1).transpose(1, 3)  # (B,H,3,L,W/H)
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
