"""What an exhibit is run on: data, weights, seeds; and what of it is missing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finegrain.backbones import BACKBONES
from finegrain.backbones.clip.openclip_models import MODELS, QUICK
from finegrain.benchmark.grid import Grid
from finegrain.captions.store import library
from finegrain.data import DATASETS, prepare_dataset
from finegrain.detectors import DETECTORS
from finegrain.errors import ConfigError
from finegrain.factory import FACTORIES
from finegrain.studies.paper.exhibits import Exhibit, Group, groups


@dataclass(frozen=True)
class Inputs:
    """The choices of a run; what is None or empty is as the paper has it.

    Args:
        datasets: in place of the paper's.
        roots: data set -> folder of its categories.
        clip: one backbone for all methods.
        weights: backbone -> a local file or a tag of open_clip's.
        categories: of any of the data sets.
        more: further fields of the grid, for every benchmark alike.
    """

    datasets: tuple[str, ...] = ()
    roots: Mapping[str, Path] = field(default_factory=dict)
    clip: str | None = None
    weights: Mapping[str, str] = field(default_factory=dict)
    categories: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0, 1, 2)
    more: Mapping[str, Any] = field(default_factory=dict)

    def groups(self, exhibit: Exhibit) -> list[Group]:
        """The benchmarks of the exhibit under these choices, with categories checked."""
        if unknown := [name for name in self.datasets if name not in (*DATASETS, *_captioned())]:
            raise ConfigError(
                f"no dataset {', '.join(map(repr, unknown))}; known: {', '.join(DATASETS)}"
            )
        found = groups(exhibit, self.datasets or None, self.clip)
        datasets = tuple(dict.fromkeys(group.dataset for group in found))
        known = [name for dataset in datasets for name in self.all_categories(dataset)]
        if odd := [name for name in self.categories if name not in known]:
            raise ConfigError(
                f"{', '.join(datasets)} have no category {', '.join(map(repr, odd))}; "
                f"found {', '.join(known)}"
            )
        for dataset in datasets:
            if dataset in self.roots and self.chosen(dataset):
                prepare_dataset(dataset, self.roots[dataset], self.chosen(dataset))
        return [group for group in found if self.chosen(group.dataset)]

    def all_categories(self, dataset: str) -> list[str]:
        """The categories of a public data set; of any other, those below its root."""
        if dataset in _captioned():
            return _captioned()[dataset]
        if root := self.roots.get(dataset):
            return prepare_dataset(dataset, root)
        raise ConfigError(f"--data-root {dataset}=PATH is needed, the folder of its categories")

    def chosen(self, dataset: str) -> list[str]:
        """Those of them that are to be run."""
        known = self.all_categories(dataset)
        return [name for name in known if name in self.categories] if self.categories else known

    def whole(self, dataset: str) -> bool:
        """Whether every category is run that the published mean is over."""
        return self.chosen(dataset) == self.all_categories(dataset)

    def backbone(self, name: str) -> str:
        """The backbone that is loaded: the QuickGELU variant where only that one has weights."""
        return name + QUICK if name not in self.weights and name + QUICK in self.weights else name

    def grid(self, group: Group) -> Grid:
        """What the group's benchmark is asked for."""
        backbone = self.backbone(group.backbone)
        given = {
            "dataset": group.dataset,
            "data_root": self.roots.get(group.dataset),
            "categories": self.chosen(group.dataset),
            "methods": group.methods,
            "shots": group.shots,
            "seeds": self.seeds,
            "backbone": backbone,
            "weights": self.weights.get(backbone),
            "options": group.options,
            **self.more,
        }
        return Grid.model_validate(given)


def missing(planned: Sequence[Group], inputs: Inputs) -> list[str]:
    """What the groups need and do not have, a line each."""
    lines = []
    for dataset in dict.fromkeys(group.dataset for group in planned):
        if dataset not in DATASETS:
            lines.append(f"data set {dataset}, which is not here; known: {', '.join(DATASETS)}")
        if dataset not in FACTORIES and dataset not in inputs.roots:
            lines.append(f"--data-root {dataset}=PATH, the folder of its categories")
    for name in dict.fromkeys(group.backbone for group in planned):
        model = inputs.backbone(name)
        if model not in BACKBONES:
            lines.append(f"backbone {model}, which is not here; known: {', '.join(BACKBONES)}")
        elif model in MODELS and model not in inputs.weights:
            lines.append(f"--clip-weights {model}=FILE|TAG, in open_clip's format")
    methods = dict.fromkeys(name.partition(":")[0] for group in planned for name in group.methods)
    lines += [
        f"method {name}, which is not here; known: {', '.join(sorted(DETECTORS))}"
        for name in methods
        if name not in DETECTORS
    ]
    return lines


def _captioned() -> dict[str, list[str]]:
    """Data set, but for a plain folder -> the sorted names of its captioned categories."""
    found: dict[str, list[str]] = {}
    for caption in library().values():
        if caption.dataset != "folder":
            found.setdefault(caption.dataset, []).append(caption.category)
    found |= dict.fromkeys(FACTORIES, found["factory"])  # the same parts
    return {dataset: sorted(names) for dataset, names in found.items()}
