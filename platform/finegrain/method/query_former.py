"""The Query Former: from a unit's normal and abnormal features to its intrinsic representation."""

import torch
from torch import Tensor, nn

HEADS = 8


class QueryFormer(nn.Module):
    """A learnable query a unit, two cross-attentions side by side, one linear layer.

    Args:
        units: U.
        width: D.
        seed: of the initial values.
    """

    def __init__(self, units: int, width: int, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.queries = nn.Parameter(torch.randn(units, width) * width**-0.5)
            self.normal = nn.MultiheadAttention(width, HEADS, batch_first=True)
            self.abnormal = nn.MultiheadAttention(width, HEADS, batch_first=True)
            self.join = nn.Linear(2 * width, width)

    def forward(self, normal: Tensor, abnormal: Tensor) -> Tensor:  # (U,D), (U,D) -> (U,D)
        """q, one vector a unit, not normalised."""
        seen = [
            attention(self.queries, features, features, need_weights=False)[0]
            for attention, features in ((self.normal, normal), (self.abnormal, abnormal))
        ]
        return self.join(torch.cat(seen, -1))  # type: ignore[no-any-return]
