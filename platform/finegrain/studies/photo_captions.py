"""Captions from photos against the factory's true facts and masks.

A true component is found where a component of the caption overlaps it, pairs chosen for the largest
sum of overlaps. Attributes are judged where the component is found: what is left out counts
neither as said nor as right. K shots, C true components, F found ones.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from finegrain.backbones import FrozenClip
from finegrain.captions import Caption
from finegrain.captions.from_photos import PhotoCaption, caption_from_photos
from finegrain.captions.vocabulary import ATTRIBUTES, alike_values, base_values
from finegrain.evaluation.figures import Picture
from finegrain.evaluation.regions import enlarged, sentence_sheet
from finegrain.factory import Rendering, render
from finegrain.factory.render import find_part
from finegrain.tables import markdown

FOUND = 0.25  # overlap from which a true component counts as found
MANY = 3  # pieces from which "multiple" is right


@dataclass
class Tally:
    """How often something was asked, said and right."""

    asked: int = 0
    said: int = 0
    right: int = 0

    def add(self, said: bool, right: bool) -> None:
        """One more answer."""
        self.asked, self.said, self.right = self.asked + 1, self.said + said, self.right + right


@dataclass
class PhotoStudy:
    """What captions from photos know of the factory.

    Args:
        overlaps: category -> (C,) the overlap of each true component with its found one.
        tallies: attribute -> answers of all found components.
        captions: category -> its caption.
    """

    overlaps: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    tallies: dict[str, Tally] = field(default_factory=dict)
    captions: dict[str, Caption] = field(default_factory=dict)

    @property
    def overlap(self) -> float:
        """The mean over all true components; one that is not found counts with what it has."""
        return float(np.concatenate(list(self.overlaps.values())).mean())

    def accuracy(self, attribute: str) -> float:
        """Right answers to those said; NaN where none was."""
        tally = self.tallies[attribute]
        return tally.right / tally.said if tally.said else float("nan")

    def table(self) -> str:
        """Both tables as Markdown."""
        regions = [
            [name, str(len(own)), str(int((own >= FOUND).sum())), f"{own.mean():.2f}"]
            for name, own in self.overlaps.items()
        ]
        every = np.concatenate(list(self.overlaps.values()))
        found = str(int((every >= FOUND).sum()))
        regions.append(["all", str(len(every)), found, f"{self.overlap:.2f}"])
        answers = [
            [name, str(tally.asked), str(tally.said), f"{self.accuracy(name):.2f}"]
            for name, tally in self.tallies.items()
        ]
        return "\n\n".join(
            [
                markdown(["category", "components", "found", "IoU"], regions),
                markdown(["attribute", "found components", "said", "right of said"], answers),
            ]
        )


def study_photos(
    clip: FrozenClip,
    categories: Sequence[str],
    shots: int,
    seed: int,
    tell: Callable[[str], None],
) -> tuple[PhotoStudy, dict[str, Picture]]:
    """Caption factory parts from their shots, and judge that; with a picture of each part.

    Args:
        clip: the frozen model.
        categories: of the factory.
        shots: K.
        seed: of the factory.
        tell: hears of each part.
    """
    study, pictures = PhotoStudy(), {}
    study.tallies = {name: Tally() for name in ATTRIBUTES}
    for category in categories:
        scenes = [render(category, "train", None, index, seed) for index in range(shots)]
        images = [scene.image for scene in scenes]
        found = caption_from_photos("factory", category, images, clip)
        _judge(study, category, scenes, found)
        study.captions[category] = found.caption
        sentences = [component.caption for component in found.caption.components]
        pictures[category] = sentence_sheet(images, found.regions.labels, sentences, category)
        tell(f"{category}: {found.caption.summary}")
    return study, pictures


def _judge(
    study: PhotoStudy, category: str, scenes: Sequence[Rendering], found: PhotoCaption
) -> None:
    truth = find_part(category).facts["components"]
    overlap = overlaps(found.regions.labels, found.regions.count, scenes, truth)
    own = np.zeros(len(truth))
    for i, j in zip(*linear_sum_assignment(-overlap), strict=True):
        own[i] = overlap[i, j]
        if own[i] < FOUND:
            continue
        said = found.caption.components[j].attributes
        for name in ATTRIBUTES:
            right = name in said and is_right(name, said[name], truth[i][name])
            study.tallies[name].add(name in said, right)
    study.overlaps[category] = own


def overlaps(
    labels: npt.NDArray[np.integer[Any]],
    count: int,
    scenes: Sequence[Rendering],
    truth: Sequence[Mapping[str, Any]],
) -> npt.NDArray[np.float64]:
    """(C,F) mean over the shots of the intersection over union."""
    found = np.zeros((len(truth), count))
    for shot, scene in zip(labels, scenes, strict=True):
        large = enlarged(shot, *scene.mask.shape)
        for i, facts in enumerate(truth):
            mask = scene.components[facts["name"]]
            for j in range(count):
                region = large == j
                found[i, j] += (region & mask).sum() / max(1, (region | mask).sum()) / len(scenes)
    return found


def is_right(attribute: str, said: str, truth: str | Sequence[str]) -> bool:
    """Whether a value is among the true ones or alike; a number within one."""
    if attribute != "number":
        true = {truth} if isinstance(truth, str) else set(truth)
        return any(alike_values(value) & true for value in base_values(said))
    if "multiple" in (said, truth):
        return all(word == "multiple" or int(word) >= MANY for word in (said, str(truth)))
    return abs(int(said) - int(str(truth))) <= 1
