"""What a checkup found, and how that reads."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from finegrain.backbones.frame import NARROW
from finegrain.tables import UNDEFINED, markdown

STRETCHED = 2  # the longer side over the shorter
LISTED = 30  # lines of a list, before the rest is only counted
FAULTS = ("missing", "unreadable", "other size", "empty")  # of a mask


@dataclass(frozen=True)
class Twins:
    """A shot and an image that is nearly the same."""

    shot: Path
    other: Path
    levels: float
    correlation: float


@dataclass
class CategoryFindings:
    """What was found of one category; filled while its files are read."""

    name: str
    train: int = 0
    good: int = 0
    defects: dict[str, int] = field(default_factory=dict)  # anomalous test images of each
    mask_faults: dict[tuple[str, str], int] = field(default_factory=dict)  # (defect, fault)
    sizes: list[tuple[int, int]] = field(default_factory=list)  # width, height
    problems: list[str] = field(default_factory=list)
    twins: list[Twins] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    ignored: tuple[Path, ...] = ()  # pictures that are not read
    ranges: list[tuple[int, int] | None] = field(default_factory=list)  # of 16 bits; None: 8
    grey_masks: list[Path] = field(default_factory=list)  # with pixels between black and half
    small_regions: dict[Path, int] = field(default_factory=dict)  # mask -> below a map's pixel
    framed: list[Path] = field(default_factory=list)  # with several frames
    turned: list[Path] = field(default_factory=list)  # by EXIF, unlike their masks

    def warnings(self) -> list[str]:
        """What a user should know, while all numbers stay right."""
        found = []
        if self.ignored:
            found.append(_some(self.ignored, "beside the images is not read; move it away"))
        if self.grey_masks:
            found.append(
                _some(self.grey_masks, "has grey levels; what is darker than half of white is good")
            )
        if self.small_regions:
            found.append(
                f"{sum(self.small_regions.values())} regions of {self.name}'s masks are smaller "
                "than a pixel of the map and count as one: "
                + _some(list(self.small_regions), "has such")
            )
        if self.framed:
            found.append(_some(self.framed, "has several frames, or pages; the first is read"))
        if self.turned:
            what = "is turned by its EXIF orientation and its mask is not; do they still agree?"
            found.append(_some(self.turned, what))
        deep = [one for one in self.ranges if one]
        if deep and len(deep) < len(self.ranges):
            found.append(
                f"{self.name} has {len(deep)} images of 16 bits and {len(self.ranges) - len(deep)} "
                "of 8: are they of one brightness?"
            )
        if stretched := [size for size in self.sizes if STRETCHED < _aspect(size) < NARROW]:
            width, height = max(stretched, key=_aspect)
            found.append(
                f"{self.name} has {len(stretched)} images like {width}x{height}; they become square"
                f" when they are encoded, by more than {STRETCHED}:1. Crop them first, or keep "
                "their shape with --resize fit"
            )
        if self.train and self.good + sum(self.defects.values()):
            for kind, count in (("good", self.good), ("anomalous", sum(self.defects.values()))):
                if not count:
                    found.append(f"{self.name} has no {kind} test image: image AUROC has no value")
        return found

    def told(self) -> list[str]:
        """The notes, with the range of deep images."""
        deep = [one for one in self.ranges if one]
        span = f"{min(low for low, _ in deep)} to {max(high for _, high in deep)}" if deep else ""
        whole = f"{self.name}: {len(deep)} images of 16 bits hold {span} of 65535"
        return [*self.notes, *([whole] if deep else [])]

    def mask_fault(self, defect: str, fault: str, problem: str) -> None:
        """Count a mask that is of no use, and say why."""
        key = (defect, fault)
        self.mask_faults[key] = self.mask_faults.get(key, 0) + 1
        self.problems.append(problem)


@dataclass(frozen=True)
class Findings:
    """What was found below a root."""

    dataset: str
    root: Path
    categories: Sequence[CategoryFindings]
    missing: Sequence[str]  # known categories that are not there

    @property
    def problems(self) -> list[str]:
        """All that keeps a benchmark from running, or makes its numbers wrong."""
        found = [f"category {name} is missing" for name in self.missing]
        return found + [problem for one in self.categories for problem in one.problems]

    @property
    def warnings(self) -> list[str]:
        """What is odd, and leaves the numbers right."""
        return [warning for one in self.categories for warning in one.warnings()]

    def text(self) -> str:
        """Tables of counts, sizes, masks and near-duplicates, then what was noted and is wrong."""
        twins = [(one.name, twin) for one in self.categories for twin in one.twins]
        parts = [f"{self.dataset} below {self.root}: {len(self.categories)} categories"]
        parts.append(_counts(self.categories))
        if any(one.defects for one in self.categories):
            parts.append(_defects(self.categories))
        if twins:
            parts += [
                "Shots that are nearly another image (not counted as problems):",
                _near(twins),
            ]
        if notes := sorted({note for one in self.categories for note in one.told()}):
            parts.append(_listed("Notes:", notes))
        if self.warnings:
            parts.append(_listed(f"{len(self.warnings)} warnings:", self.warnings))
        if self.problems:
            parts.append(_listed(f"{len(self.problems)} problems:", self.problems))
        elif self.warnings:
            parts.append("A benchmark runs; the warnings say what it makes of the files.")
        else:
            parts.append("Nothing is wrong.")
        return "\n\n".join(parts)


def _aspect(size: tuple[int, int]) -> float:
    return max(size) / min(size)


def _counts(categories: Sequence[CategoryFindings]) -> str:
    header = ["category", "train good", "test good", "test anomalous", "smallest", "median",
              "largest", "problems", "near-duplicates"]  # fmt: skip
    rows = []
    for one in categories:
        counts = (one.train, one.good, sum(one.defects.values()))
        found = (len(one.problems), len(one.twins))
        rows.append([one.name, *map(str, counts), *_sizes(one.sizes), *map(str, found)])
    return markdown(header, rows)


def _sizes(sizes: Sequence[tuple[int, int]]) -> list[str]:
    """The smallest, the median and the largest size by the number of pixels."""
    if not sizes:
        return [UNDEFINED] * 3
    ordered = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    chosen = (ordered[0], ordered[len(ordered) // 2], ordered[-1])
    return [f"{width}x{height}" for width, height in chosen]


def _defects(categories: Sequence[CategoryFindings]) -> str:
    rows = [
        [
            f"{one.name}/{defect}",
            str(count),
            *(str(one.mask_faults.get((defect, fault), 0)) for fault in FAULTS),
        ]
        for one in categories
        for defect, count in sorted(one.defects.items())
    ]
    return markdown(["defect", "images", *(f"masks {fault}" for fault in FAULTS)], rows)


def _near(twins: Sequence[tuple[str, Twins]]) -> str:
    rows = [
        [
            name,
            *map(_short, (twin.shot, twin.other)),
            f"{twin.levels:.2f}",
            f"{twin.correlation:.3f}",
        ]
        for name, twin in twins[:LISTED]
    ]
    table = markdown(["category", "shot", "like", "levels of 255", "correlation"], rows)
    return table + _rest(len(twins))


def _short(path: Path) -> str:
    return "/".join(path.parts[-3:])


def _listed(title: str, lines: Sequence[str]) -> str:
    return "\n".join([title, "", *(f"- {line}" for line in lines[:LISTED])]) + _rest(len(lines))


def _some(paths: Sequence[Path], what: str) -> str:
    more = f" (and {len(paths) - 1} more)" if len(paths) > 1 else ""
    return f"{paths[0]}{more} {what}"


def _rest(count: int) -> str:
    return f"\n\nand {count - LISTED} more" if count > LISTED else ""
