"""Stochastic gradient descent on objectives that see the K shots and nothing else."""

from collections.abc import Callable, Container, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from finegrain.method.config import TrainingConfig

Objectives = Callable[[], Mapping[str, Tensor]]  # by name, unweighted


def descend(
    parameters: Sequence[nn.Parameter],
    objectives: Objectives,
    weights: Mapping[str, float],
    config: TrainingConfig,
) -> Iterator[int]:
    """Change the parameters, a step an epoch, and yield its number, from 1.

    What the last epoch leaves is the result.

    Args:
        parameters: that learn.
        objectives: the losses by name at the parameters' present values.
        weights: of each of them.
        config: epochs, rates.
    """
    optimizer, schedule = _optimizer(parameters, config)
    for epoch in range(1, config.epochs + 1):
        losses = objectives()
        total = torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()
        optimizer.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        yield epoch


def pausing(epochs: Iterator[int], last: int, pauses: Container[int]) -> Iterator[int]:
    """Go through the epochs, and yield those that are among the pauses, then the last."""
    for epoch in epochs:
        if epoch in pauses and epoch < last:
            yield epoch
    yield last


def _optimizer(
    parameters: Sequence[nn.Parameter], config: TrainingConfig
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    optimizer = torch.optim.SGD(
        parameters,
        lr=config.learning_rate,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimizer, max(config.epochs, 1), config.final_learning_rate
    )
    return optimizer, schedule
