"""Class tokens of an image's windows from a CLIP vision transformer.

B images, L = 1 + N tokens (class token first), W vision width; n windows of m patches.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from finegrain.backbones.clip.vv_attention import add_block, project_in, split_heads
from finegrain.backbones.windows import Windows, members

TOKENS_AT_ONCE = 1024  # of isolated windows; more takes more memory and is no faster


def window_classes(
    blocks: Sequence[Any], x: Tensor, shared: Tensor, windows: Windows, grid: tuple[int, int]
) -> tuple[Tensor, ...]:
    """(B,n,W) a scale: those that shared the image's pass, or of a pass of each window's own.

    Args:
        x: (B,L,W) the first block's input.
        shared: (B,n,W) of all scales, as both_paths leaves them.
    """
    patches = [members(grid, scale).to(x.device) for scale in windows.scales]
    if windows.shared:
        return tuple(torch.split(shared, [len(some) for some in patches], 1))
    return tuple(isolated_windows(blocks, x, some) for some in patches)


def isolated_windows(blocks: Sequence[Any], x: Tensor, patches: Tensor) -> Tensor:
    """Run each window through all blocks as if it were the image, as WinCLIP has it.

    Nothing of a window is computed that another has: the first block's norm and projection are
    those of the whole image's tokens, and the last block only computes class tokens.

    Args:
        x: (B,L,W) the first block's input.
        patches: (n,m) of each window.

    Returns:
        (B,n,W) class tokens.
    """
    tokens = torch.cat([torch.zeros_like(patches[:, :1]), patches + 1], 1)  # (n,1+m)
    joint = project_in(blocks[0].attn, blocks[0].ln_1(x))
    found = [
        _isolated(blocks, embedded[some], projected[some])
        for embedded, projected in zip(x, joint, strict=True)
        for some in torch.split(tokens, max(1, TOKENS_AT_ONCE // tokens.shape[1]))
    ]
    return torch.cat(found).view(len(x), len(patches), -1)


def _isolated(blocks: Sequence[Any], x: Tensor, joint: Tensor) -> Tensor:
    """(b,1+m,W) windows, (b,1+m,3W) what the first block projects them to -> (b,W)."""
    for depth, block in enumerate(blocks, 1):
        if depth > 1:
            joint = project_in(block.attn, block.ln_1(x))
        queries, keys, values = split_heads(joint, block.attn.num_heads)
        if depth == len(blocks):
            queries, x = queries[:, :, :1], x[:, :1]
        x = add_block(block, x, F.scaled_dot_product_attention(queries, keys, values))
    return x[:, 0]
