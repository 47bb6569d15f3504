"""What each table and figure of the paper compares, as benchmarks to be run.

FineGrainedAD is the paper's text there, `finegrained:paper`, or what an ablation changes of it; the
defaults of `finegrained` are in none of them. The other methods run on the levels that their own
papers name.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from finegrain.errors import ConfigError
from finegrain.studies.variants import CURVES, ablation_grid

CLIP = "ViT-B-16-plus-240"
OURS = "finegrained:paper"
FEW = (1, 2, 4)
# The paper's words for a backbone, and the side of its input -> the name here.
BACKBONES = {
    ("ViT-B/32", 224): "ViT-B-32",
    ("ViT-B/16", 224): "ViT-B-16",
    ("ViT-B/16+", 224): "ViT-B-16-plus",
    ("ViT-B/16+", 240): CLIP,
    ("ViT-L/14", 224): "ViT-L-14",
    ("ViT-L/14", 336): "ViT-L-14-336",
    ("ViT-H/14", 224): "ViT-H-14",
}


@dataclass(frozen=True)
class Entry:
    """One measured row: a method on a backbone, at some numbers of shots."""

    method: str
    backbone: str = CLIP
    shots: tuple[int, ...] = (4,)
    ablation: str | None = None  # whose variant it is


@dataclass(frozen=True)
class Exhibit:
    """A table or figure: its data sets and rows."""

    name: str
    title: str
    datasets: tuple[str, ...]
    entries: tuple[Entry, ...]

    @property
    def number(self) -> int:
        """Of the table or figure."""
        return int(self.name.rpartition("-")[2])


@dataclass(frozen=True)
class Group:
    """One benchmark of an exhibit: a backbone, a data set and the methods that share both."""

    exhibit: str
    dataset: str
    backbone: str
    methods: tuple[str, ...]
    shots: tuple[int, ...]
    ablation: str | None = None

    @property
    def folder(self) -> str:
        """What its folder is called."""
        shots = "-".join(map(str, self.shots))
        parts = [self.exhibit, self.dataset, self.backbone, self.ablation, f"{shots}shot"]
        return "_".join(part for part in parts if part)

    @property
    def options(self) -> tuple[str, ...]:
        """METHOD.OPTION=VALUE of the ablation's variants."""
        return ablation_grid(self.ablation)["options"] if self.ablation else ()


def _variants(*ablations: str) -> tuple[Entry, ...]:
    return tuple(
        Entry(method, ablation=name)
        for name in ablations
        for method in ablation_grid(name)["methods"]
    )


_LOCAL = (
    Entry("padim", "resnet18", FEW),
    Entry("spade", "wide_resnet50_2", FEW),
    Entry("patchcore", "wide_resnet50_2", FEW),
)
_WORDED = tuple(Entry(name, CLIP, FEW) for name in ("winclip", "promptad", OURS))
_MANY = (
    Entry(OURS, shots=(1, 4)),
    Entry("winclip", shots=(8,)),
    Entry("padim", "resnet18", (16,)),
)
_SHOWN = (
    Entry("patchcore", "wide_resnet50_2"),
    *(Entry(name) for name in ("winclip", "promptad", OURS)),
)
_BOTH = ("mvtec", "visa")

EXHIBITS = {
    exhibit.name: exhibit
    for exhibit in (
        Exhibit("table-1", "Few-shot anomaly detection", _BOTH, _LOCAL + _WORDED),
        Exhibit("table-2", "Against many shots", ("visa",), _MANY),
        Exhibit("table-3", "Training objectives, 4 shots", ("visa",), _variants("objectives")),
        Exhibit("table-4", "Components of the method, 4 shots", _BOTH, _variants("components")),
        Exhibit(
            "table-5",
            "Backbones, 4 shots",
            ("visa",),
            tuple(Entry(OURS, backbone) for backbone in BACKBONES.values()),
        ),
        Exhibit("table-6", "Real-IAD", ("realiad",), _WORDED),
        Exhibit("figure-5", "Anomaly maps by method", _BOTH, _SHOWN),
        Exhibit("figure-6", "Regions by component", _BOTH, (Entry(OURS),)),
        Exhibit("figure-7", "Hyperparameters, 4 shots", ("visa",), _variants(*CURVES)),
    )
}


def find_exhibit(name: str) -> Exhibit:
    """The exhibit table-N or figure-N; ConfigError lists the known ones."""
    if name not in EXHIBITS:
        raise ConfigError(f"no {name} here; known: {', '.join(EXHIBITS)}")
    return EXHIBITS[name]


def groups(
    exhibit: Exhibit, datasets: Sequence[str] | None = None, backbone: str | None = None
) -> list[Group]:
    """The benchmarks of an exhibit; other data sets, or one backbone for all, where given."""
    if backbone and exhibit.name == "table-5":
        raise ConfigError("table 5 compares backbones; one for all of its rows compares nothing")
    methods: dict[tuple[str, str, str | None, tuple[int, ...]], list[str]] = {}
    for dataset in datasets or exhibit.datasets:
        for entry in exhibit.entries:
            key = (dataset, backbone or entry.backbone, entry.ablation, entry.shots)
            methods.setdefault(key, []).append(entry.method)
    return [
        Group(exhibit.name, dataset, model, tuple(names), shots, ablation)
        for (dataset, model, ablation, shots), names in methods.items()
    ]
