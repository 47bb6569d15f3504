"""The rows of the paper's tables: what it publishes of each, and which run measures it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from finegrain.evaluation.published import PublishedRow, published_rows
from finegrain.studies.paper.exhibits import BACKBONES, Entry, Exhibit

YES = "✓"


@dataclass(frozen=True)
class Subject:
    """One row of the paper: what it published, and how it is measured if it is."""

    published: tuple[PublishedRow, ...]
    entry: Entry | None

    def row(self, dataset: str, shots: int | None) -> PublishedRow | None:
        """Its published numbers there; None where it has none."""
        rows = (row for row in self.published if (row.dataset, row.shots) == (dataset, shots))
        return next(rows, None)


Head = Callable[[PublishedRow, str | None], str]  # published, backbone it was measured on


def _part(name: str) -> Head:
    def cell(row: PublishedRow, _backbone: str | None) -> str:
        parts = (row.variant or "").split("+")
        return YES if name in parts or "all" in parts else ""

    return cell


HEADS: Mapping[int, Mapping[str, Head]] = {
    1: {
        "method": lambda row, _: row.method,
        "backbone": lambda row, backbone: backbone or row.backbone or "",
        "params": lambda row, backbone: "" if backbone else row.params or "",
        "aux. data": lambda row, _: YES if row.auxiliary_data else "",
    },
    2: {"method": lambda row, _: row.method, "setting": lambda row, _: row.setting},
    3: {
        f"L_{short}": _part(name)
        for short, name in (
            ("clip", "clip"), ("tri", "triplet"), ("mean", "mean"), ("reg", "regularization")
        )
    },
    4: {name: _part(name) for name in ("multi-level", "alignment", "token-wise")},
    5: {
        "backbone": lambda row, backbone: backbone or row.backbone or "",
        "params": lambda row, _: row.params or "",
        "input": lambda row, _: str(row.resolution),
        "tokens": lambda row, _: str(row.tokens),
    },
    6: {"method": lambda row, _: row.method},
}  # fmt: skip


def subjects(exhibit: Exhibit) -> list[Subject]:
    """The rows of a table in the paper's order."""
    found: dict[tuple[object, ...], list[PublishedRow]] = {}
    for row in published_rows(exhibit.number):
        own_shots = row.setting if exhibit.number == 2 else None
        key = (row.method, row.variant, row.backbone, row.resolution, own_shots)
        found.setdefault(key, []).append(row)
    return [Subject(tuple(rows), _entry(exhibit, rows[0])) for rows in found.values()]


def _entry(exhibit: Exhibit, row: PublishedRow) -> Entry | None:
    """How the row is measured; None for what is only published."""
    for entry in exhibit.entries:
        same_backbone = (
            exhibit.number != 5
            or BACKBONES.get((row.backbone or "", row.resolution or 0)) == entry.backbone
        )
        if entry.method == row.measured_as and row.shots in entry.shots and same_backbone:
            return entry
    return None
