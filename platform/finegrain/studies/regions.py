"""Region aggregation against the factory's true component masks, setting by setting.

All as `finegrained:paper` has it: prompts, regions and the matching of Eq. 4.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np
import torch

from finegrain.backbones import FrozenClip, encode
from finegrain.captions import find_caption
from finegrain.detectors import make_detector
from finegrain.detectors.finegrained import FineGrained, FineGrainedConfig
from finegrain.evaluation.figures import Picture, sheet
from finegrain.evaluation.regions import (
    Labels,
    intersection_over_union,
    matching_strip,
    region_rows,
)
from finegrain.factory.part import Rendering
from finegrain.factory.render import find_part, render
from finegrain.method.config import RegionConfig
from finegrain.method.paper import PAPER
from finegrain.method.prompts import PromptBank
from finegrain.method.regions import aggregate_regions, sliced
from finegrain.method.units import caption_units
from finegrain.tables import markdown

AS_PAPER = FineGrainedConfig.from_options(PAPER)
ALL = AS_PAPER.regions
SETTINGS: Mapping[str, RegionConfig] = {
    "plain DPC-KNN": replace(
        ALL,
        semantic_centers=False,
        semantic_dimension=False,
        two_stages=False,
        fine_resolution=False,
    ),
    "without semantic centres": replace(ALL, semantic_centers=False),
    "without semantic dimension": replace(ALL, semantic_dimension=False),
    "without two stages": replace(ALL, two_stages=False),
    "without fine resolution": replace(ALL, fine_resolution=False),
    "all four": ALL,
}
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Study:
    """Mean IoU over components and shots, in percent: setting -> category -> value."""

    overlaps: dict[str, dict[str, float]]

    def table(self) -> str:
        """A row a category, a column a setting, and the mean."""
        categories = list(next(iter(self.overlaps.values())))
        rows = [
            [name, *(f"{found[name]:.1f}" for found in self.overlaps.values())]
            for name in categories
        ]
        means = [f"{fmean(found.values()):.1f}" for found in self.overlaps.values()]
        return markdown(["mean IoU", *self.overlaps], [*rows, ["mean", *means]])


def study_regions(
    clip: FrozenClip, categories: Sequence[str], shots: int, seed: int, tell: Tell
) -> tuple[Study, dict[str, Picture]]:
    """The overlaps, and a picture a category: regions per setting, token-wise matching below."""
    study = Study({name: {} for name in SETTINGS})
    pictures = {}
    for category in categories:
        scenes = [render(category, "train", None, index, seed) for index in range(shots)]
        found = category_regions(clip, category, scenes, seed)
        for name, labels in found.items():
            study.overlaps[name][category] = 100 * _mean_overlap(category, labels, scenes)
        strips = region_rows([scene.image for scene in scenes], found)
        strips.append(("token-wise matching", _matching(clip, category, scenes, seed)))
        pictures[category] = sheet(strips, category)
        tell(
            f"{category}: " + ", ".join(f"{n} {v[category]:.1f}" for n, v in study.overlaps.items())
        )
    return study, pictures


def category_regions(
    clip: FrozenClip, category: str, scenes: Sequence[Rendering], seed: int
) -> dict[str, Labels]:
    """Setting -> (K,rows,columns) labels: places in the caption's components, or −1."""
    units = caption_units(find_caption("factory", category))
    images = [scene.image for scene in scenes]
    tokens, fine = encode(clip, images), sliced(clip, images, clip.image_size)
    with torch.no_grad():
        normal = PromptBank(clip, units, AS_PAPER.prompts, seed)().normal()
        regions = {
            name: aggregate_regions(
                units, normal, tokens, fine if config.fine_resolution else None, config
            )
            for name, config in SETTINGS.items()
        }
    return {
        name: found.labels.view(len(scenes), *found.grid).cpu().numpy()
        for name, found in regions.items()
    }


def _mean_overlap(category: str, labels: Labels, scenes: Sequence[Rendering]) -> float:
    names = [facts["name"] for facts in find_part(category).facts["components"]]
    overlaps = [
        intersection_over_union(shot, [scene.components[name] for name in names])
        for shot, scene in zip(labels, scenes, strict=True)
    ]
    return float(np.nanmean(np.stack(overlaps)))


def _matching(clip: FrozenClip, category: str, scenes: Sequence[Rendering], seed: int) -> Picture:
    """One test scene a defect, with the unit that Eq. 4 finds for each token."""
    caption = find_caption("factory", category).model_dump(mode="json")
    detector = make_detector("finegrained:paper", clip, {"caption": caption}, seed=seed)
    assert isinstance(detector, FineGrained)
    detector.fit([scene.image for scene in scenes])
    defects = find_part(category).defects[: len(scenes)]
    tests = [render(category, "test", defect, 0, seed) for defect in defects]
    tokens = encode(clip, [scene.image for scene in tests])
    return matching_strip(
        [scene.image for scene in tests],
        [scene.mask for scene in tests],
        detector.best_units(tokens).view(len(tests), *tokens.grid).cpu().numpy(),
        [name for name, _ in detector.units],
    )
