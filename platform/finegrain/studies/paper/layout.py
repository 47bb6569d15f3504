"""A table in the paper's rows and columns: measured, published † and their difference."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import NamedTuple

from finegrain.evaluation.published import MARK, SOURCE
from finegrain.studies.paper.exhibits import Entry, Exhibit
from finegrain.studies.paper.inputs import Inputs
from finegrain.studies.paper.subjects import HEADS, Subject, subjects
from finegrain.tables import UNDEFINED, Row, markdown, means

METRICS = {"image_auroc": "image", "pixel_auroc": "pixel"}
MEASURED, PUBLISHED, DIFFERENCE = "measured", f"published {MARK}", "difference"
BY_SHOTS = (1, 6)  # the tables with a column for each number of shots; 1 has times as well

Key = tuple[str, str, str, int]  # method, backbone as planned, data set, shots
Column = tuple[str, int | None, str]  # data set, shots unless the row says them, metric


class Cell(NamedTuple):
    """A number of a table; `partial` where trials are missing from it."""

    value: float
    spread: float | None = None
    partial: bool = False


@dataclass(frozen=True)
class Measured:
    """All trials of one method at one number of shots on one data set."""

    rows: Sequence[Row]
    ms: float | None = None  # an image, encoding and scoring

    def values(self, metric: str) -> list[float]:
        """For each seed the mean over categories."""
        return means(self.rows, metric)

    def complete(self, metric: str) -> bool:
        """Whether every trial has the metric."""
        return all(row.scores.get(metric) is not None for row in self.rows)


@dataclass(frozen=True)
class Line:
    """One line of a table."""

    heads: tuple[str, ...]
    shots: int | None  # where its columns don't say them
    source: str
    cells: Mapping[Column, Cell | None]
    ms: float | None = None


class PaperTable:
    """The lines of a table, to be written as Markdown or CSV."""

    def __init__(self, exhibit: Exhibit, inputs: Inputs, measured: Mapping[Key, Measured]) -> None:
        self.exhibit, self.inputs, self._measured = exhibit, inputs, measured
        named = inputs.datasets or exhibit.datasets
        self.datasets = tuple(name for name in named if inputs.chosen(name))
        shots = sorted({count for entry in exhibit.entries for count in entry.shots})
        by_shots: list[int | None] = [*shots] if exhibit.number in BY_SHOTS else [None]
        self.columns: list[Column] = [
            (dataset, count, metric)
            for dataset in self.datasets
            for count in by_shots
            for metric in METRICS
        ]
        self.lines = [line for subject in subjects(exhibit) for line in self._lines(subject)]

    def markdown(self) -> str:
        """The aligned table with its title and notes."""
        heads = list(HEADS[self.exhibit.number])
        timed = any(line.ms for line in self.lines) and self.exhibit.number == 1
        header = [*heads, "source", *map(_column, self.columns), *(["ms/image"] if timed else [])]
        body = [
            [
                *line.heads,
                line.source,
                *(_shown(line.cells.get(column), line.source) for column in self.columns),
                *([f"{line.ms:.1f}" if line.ms else UNDEFINED] if timed else []),
            ]
            for line in self.lines
        ]
        title = f"Table {self.exhibit.number}: {self.exhibit.title}. AUROC in percent."
        return "\n\n".join([title, markdown(header, body), *self.notes(timed)])

    def csv(self) -> str:
        """A line for each source, data set and number of shots."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        heads = list(HEADS[self.exhibit.number])
        scores = [f"{name}{suffix}" for name in METRICS for suffix in ("", "_std")]
        writer.writerow(["table", *heads, "source", "dataset", "shots", *scores])
        for line in self.lines:
            for dataset, shots in dict.fromkeys((d, s) for d, s, _ in self.columns):
                cells = [line.cells.get((dataset, shots, metric)) for metric in METRICS]
                if any(cells):
                    numbers = [_number(v) for c in cells for v in (c[:2] if c else ("", ""))]
                    place = [line.source, dataset, shots or line.shots or ""]
                    writer.writerow([self.exhibit.number, *line.heads, *place, *numbers])
        return stream.getvalue()

    def notes(self, timed: bool) -> list[str]:
        """What a reader must know to read the table right."""
        count = len(self.inputs.seeds)
        seeds = f"± standard deviation over {count} seeds" if count > 1 else "one seed"
        notes = [f"Measured: mean over categories, {seeds}."]
        shown = any(line.source == PUBLISHED for line in self.lines)
        no_difference = ": no difference is taken." if shown else "."
        own = " and ".join(self.exhibit.datasets)
        nothing = f"Nothing is published for these data sets, only for {own}"
        notes.append(f"{SOURCE if shown else nothing}.")
        if self.inputs.clip:
            notes.append(
                f"All methods were measured on {self.inputs.clip}, not on the paper's backbones"
                f"{no_difference}"
            )
        for dataset in self.datasets:
            if not self.inputs.whole(dataset):
                names = ", ".join(self.inputs.chosen(dataset))
                notes.append(f"{dataset} was measured on {names} alone{no_difference}")
        if any(cell and cell.partial for line in self.lines for cell in line.cells.values()):
            notes.append("* some trials are missing; table.md in their benchmark's folder has all.")
        if timed:
            notes.append("ms/image: encoding and scoring on the machine that measured.")
        return notes

    def _lines(self, subject: Subject) -> list[Line]:
        """Up to three: measured, published and difference, without those that are empty."""
        row, entry = subject.published[0], subject.entry
        published = {key: self._published(subject, key) for key in self.columns}
        measured = {key: self._cell(subject, key) for key in self.columns}
        difference = {key: self._difference(subject, key) for key in self.columns}
        heads = HEADS[self.exhibit.number].values()
        lines = []
        if entry:
            own = self.inputs.backbone(self.inputs.clip or entry.backbone)
            names = tuple(head(row, own) for head in heads)
            lines.append(Line(names, row.shots, MEASURED, measured, self._ms(entry)))
        if any(published.values()):
            names = tuple(head(row, None) for head in heads)
            lines.append(Line(names, row.shots, PUBLISHED, published, row.inference_ms))
            if entry:
                lines.append(Line(names, row.shots, DIFFERENCE, difference))
        return lines

    def _published(self, subject: Subject, column: Column) -> Cell | None:
        dataset, shots, metric = column
        row = subject.row(dataset, shots or subject.published[0].shots)
        value = row.scores.get(metric) if row else None
        return None if value is None else Cell(value)

    def _cell(self, subject: Subject, column: Column) -> Cell | None:
        dataset, shots, metric = column
        count = shots or subject.published[0].shots
        if subject.entry is None or count is None:
            return None
        found = self._found(subject.entry, dataset, count)
        if found is None or not (values := found.values(metric)):
            return None
        spread = pstdev(values) if len(values) > 1 else None
        return Cell(fmean(values), spread, not found.complete(metric))

    def _difference(self, subject: Subject, column: Column) -> Cell | None:
        """Measured less published, where both are of the same backbone and categories."""
        measured, published = self._cell(subject, column), self._published(subject, column)
        comparable = not self.inputs.clip and self.inputs.whole(column[0])
        if not (measured and published and comparable) or measured.partial:
            return None
        return Cell(measured.value - published.value)

    def _found(self, entry: Entry, dataset: str, shots: int) -> Measured | None:
        backbone = self.inputs.clip or entry.backbone
        return self._measured.get((entry.method, backbone, dataset, shots))

    def _ms(self, entry: Entry) -> float | None:
        found = [self._found(entry, d, count) for d, count, _ in self.columns if count]
        known = [one.ms for one in found if one and one.ms is not None]
        return fmean(known) if known else None


def _column(column: Column) -> str:
    dataset, shots, metric = column
    return " ".join([dataset, *([f"{shots}-shot"] if shots else []), METRICS[metric]])


def _shown(cell: Cell | None, source: str) -> str:
    if cell is None:
        return UNDEFINED
    if source == PUBLISHED:
        return f"{cell.value:g}"  # as the paper prints it
    sign = "+" if source == DIFFERENCE else ""
    spread = "" if cell.spread is None else f" ± {cell.spread:.1f}"
    return f"{cell.value:{sign}.1f}{spread}{'*' if cell.partial else ''}"


def _number(value: float | str | None) -> str:
    return f"{value:.4f}" if isinstance(value, float) else ""
