"""The Query Former: from a unit's normal and abnormal features to its intrinsic representation."""

import torch
from torch import Tensor, nn

HEADS = 8
SMALL = 1e-3  # of the queries' initial lengths, beside features of unit norm


class QueryFormer(nn.Module):
    """A learnable query a unit, two cross-attentions side by side, one linear layer.

    Departure: a residual. Each attention adds to the unit's own feature, its output starts at
    zero, and the linear layer starts as the mean of both sides. With attention alone the logits
    stay near 0, every query sees the same mean of all units, and all q come out equal.

    Args:
        units: U.
        width: D.
        seed: of the initial values.
    """

    def __init__(self, units: int, width: int, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.queries = nn.Parameter(torch.randn(units, width) * SMALL * width**-0.5)
            self.normal = nn.MultiheadAttention(width, HEADS, batch_first=True)
            self.abnormal = nn.MultiheadAttention(width, HEADS, batch_first=True)
            self.join = nn.Linear(2 * width, width)
        nn.init.zeros_(self.normal.out_proj.weight)
        nn.init.zeros_(self.abnormal.out_proj.weight)
        half = torch.eye(width) / 2
        self.join.weight.data.copy_(torch.cat([half, half], 1))
        nn.init.zeros_(self.join.bias)

    def forward(self, normal: Tensor, abnormal: Tensor) -> Tensor:  # (U,D), (U,D) -> (U,D)
        """q, one vector a unit, not normalised."""
        seen = []
        for attention, features in ((self.normal, normal), (self.abnormal, abnormal)):
            own = features + self.queries
            seen.append(own + attention(own, features, features, need_weights=False)[0])
        return self.join(torch.cat(seen, -1))  # type: ignore[no-any-return]
