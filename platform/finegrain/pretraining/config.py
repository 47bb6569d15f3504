"""The settings of a training, without torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PretrainingConfig:
    """How to train; the scenes are those of seeds 0 to `scenes` - 1."""

    scenes: int = 16_000
    epochs: int = 18
    batch_size: int = 96  # over all workers
    peak_lr: float = 1.5e-3
    weight_decay: float = 0.05
    seed: int = 0
