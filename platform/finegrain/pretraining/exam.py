"""The shipped model's exam: held-out scenes, and the factory that its training never saw."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from finegrain.backbones.backbone import encode
from finegrain.backbones.clip.bundled import load_grounded
from finegrain.backbones.clip.grounded import GroundedModel
from finegrain.backbones.efficientnet import EfficientNetLite1
from finegrain.evaluation.metrics import image_curve
from finegrain.factory import CATEGORIES, render
from finegrain.pretraining.cache import read_scenes, token_cover, write_missing
from finegrain.pretraining.card import HELD_OUT, REQUIRED, score_table
from finegrain.pretraining.lessons import FAULTY
from finegrain.pretraining.zeroshot import condition_scores, evaluate_zero_shot

FACTORY_REQUIRED = 0.75


def examine(
    folder: Path, scenes: int, factory: int, cache: Path, tell: Callable[[str], None]
) -> bool:
    """Tell all scores of the model in a folder; True if they reach what is required.

    Args:
        folder: of the model.
        scenes: how many held-out scenes, from the first.
        factory: how many test images of each defect and as many good ones; 0 for no factory.
        cache: folder of encoded scenes.
        tell: takes the lines.
    """
    tower = EfficientNetLite1()
    model = load_grounded(folder, tower.weights_hash).eval()
    seeds = HELD_OUT[:scenes]
    write_missing(cache, lambda: tower, seeds)
    scores = evaluate_zero_shot(model, read_scenes(cache, seeds))
    tell(f"{folder}, {scores.scenes} held-out scenes\n")
    tell("| question | score | required |\n|---|---|---|")
    tell(score_table(scores))
    passed = all(getattr(scores, name) >= bar for name, bar in REQUIRED.items())
    if factory:
        passed &= _examine_factory(model, tower, factory, tell)
    return passed


def _examine_factory(
    model: GroundedModel, tower: EfficientNetLite1, count: int, tell: Callable[[str], None]
) -> bool:
    tell("\n| factory category | text-only defect-token AUROC |\n|---|---|")
    found = []
    for category, part in CATEGORIES.items():
        found.append(factory_auroc(model, tower, category, part.defects, count))
        tell(f"| {category} | {found[-1]:.3f} |")
    mean = float(np.mean(found))
    tell(f"| mean (required {FACTORY_REQUIRED:.2f}) | {mean:.3f} |")
    return mean >= FACTORY_REQUIRED


def factory_auroc(
    model: GroundedModel,
    tower: EfficientNetLite1,
    category: str,
    defects: tuple[str, ...],
    count: int,
) -> float:
    """Faulty against untouched tokens of test images, by sentences about objects in general."""
    shown = [render(category, "test", d, i, 0) for d in (None, *defects) for i in range(count)]
    tokens = encode(tower, [scene.image for scene in shown])
    cover = np.stack([_cover(scene.mask, tower.image_size, *tokens.grid) for scene in shown])
    with torch.no_grad():
        _, patches = model.image_tokens(torch.cat(tokens.memories, -1))
        scores = condition_scores(model, patches).numpy()
    faulty, judged = cover >= FAULTY, (cover >= FAULTY) | (cover == 0)
    return image_curve(scores[judged], faulty[judged]).auroc()


def _cover(mask: np.ndarray, side: int, rows: int, columns: int) -> np.ndarray:
    small = Image.fromarray(mask).resize((side, side), Image.Resampling.NEAREST)
    return token_cover(np.asarray(small, dtype=np.bool_), rows, columns)
