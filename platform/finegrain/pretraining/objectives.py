"""The losses of pretraining. T = temperature; all features are of unit norm.

R rows (regions, images or tokens) are compared with S statements; `truth` (R,S) says which are true
of which.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def contrast(logits: Tensor, truth: Tensor) -> Tensor:
    """Multi-positive InfoNCE, in both directions.

    Every true pair is set against the false pairs of its row alone, −log e^s / (e^s + Σ_false e^s),
    so that duplicates are positives and never each other's negatives; averaged over the true pairs
    of a row, then over the rows that have one; the same by columns.
    """
    return (_rows_contrast(logits, truth) + _rows_contrast(logits.T, truth.T)) / 2


def _rows_contrast(logits: Tensor, truth: Tensor) -> Tensor:
    negatives = logits.masked_fill(truth, -torch.inf).logsumexp(1, keepdim=True)
    losses = F.softplus(negatives - logits)  # log(1 + e^(negatives - s))
    count = truth.sum(1)
    per_row = torch.where(truth, losses, 0).sum(1) / count.clamp(min=1)
    return per_row.sum() / (count > 0).sum().clamp(min=1)


def condition(difference: Tensor, faulty: Tensor) -> Tensor:
    """Binary cross-entropy of abnormal minus normal logits, both classes weighing the same.

    0 where there is nothing to judge.
    """
    losses = F.binary_cross_entropy_with_logits(
        difference, faulty.to(difference.dtype).expand_as(difference), reduction="none"
    )
    losses = losses.flatten(1).mean(1) if losses.ndim > 1 else losses
    halves = [losses[faulty.flatten() == side] for side in (False, True)]
    present = [half.mean() for half in halves if len(half)]
    return torch.stack(present).mean() if present else difference.sum()


def pooled_regions(patches: Tensor, weights: Tensor) -> Tensor:
    """(B,N,D) patches and the weights (B,Q,N) of Q regions -> (B,Q,D) unit-norm means."""
    return F.normalize(weights @ patches, dim=-1)
