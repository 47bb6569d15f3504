"""Read recorded trials, compare their methods, write what came of it."""

from collections.abc import Sequence
from pathlib import Path

from finegrain.errors import ConfigError
from finegrain.evaluation.compare import METRICS, RESAMPLES, Measurement, compare
from finegrain.evaluation.metrics import Scores
from finegrain.files import write_bytes, write_text
from finegrain.places import new_folder
from finegrain.studies.compare.figure import differences
from finegrain.studies.compare.pool import pool
from finegrain.studies.compare.tables import csv_text, published_lines, source_note, text
from finegrain.tracking import recorded_trials

NAME = "comparison"


def compare_recorded(
    wanted: Sequence[str],
    *,
    uri: str,
    reference: str | None = None,
    metrics: Sequence[str] = METRICS,
    methods: Sequence[str] = (),
    shots: Sequence[int] = (),
    published: bool = False,
    resamples: int = RESAMPLES,
    output: Path | None = None,
) -> tuple[str, Path]:
    """Compare what MLflow has of these benchmarks and runs; the text, and the folder written.

    Raises:
        ConfigError: an unknown run, metric, method or number of shots, or a single method.
    """
    if unknown := [name for name in metrics if name not in Scores.names()]:
        raise ConfigError(f"no metric {', '.join(unknown)}; there are {', '.join(Scores.names())}")
    found = pool(recorded_trials(uri, wanted))
    reference = reference or found.first
    kept = _chosen(found.measured, {*methods, reference} if methods else set(), set(shots))
    compared = compare(kept, reference, metrics=metrics, resamples=resamples)
    counts = {one.shots for one in compared}
    lines = published_lines(found.dataset, sorted(counts)) if published else []
    notes = [*found.notes, *([source_note(found.dataset, lines)] if published else [])]
    parts = [f"{found.dataset}: {', '.join(wanted)}", text(compared, reference, lines)]
    whole = "\n".join(["\n\n".join(parts), *(f"- {note}" for note in notes)])
    folder = new_folder("compare", output)
    write_text(folder / f"{NAME}.md", whole + "\n")
    write_text(folder / f"{NAME}.csv", csv_text(compared, lines))
    if any(one.pairs for one in compared):
        write_bytes(folder / f"{NAME}.png", differences(compared, reference, found.dataset))
    return whole, folder


def _chosen(
    measured: Sequence[Measurement], methods: set[str], shots: set[int]
) -> list[Measurement]:
    """Those of the methods and numbers of shots, all where none are given."""
    known, counts = ({one.row.method for one in measured}, {one.row.shots for one in measured})
    if absent := sorted(methods - known):
        raise ConfigError(f"no method {', '.join(absent)}; there are {', '.join(sorted(known))}")
    if missing := sorted(shots - counts):
        raise ConfigError(
            f"no results at {missing} shots in these runs; there are {sorted(counts)}"
        )
    kept = [
        one
        for one in measured
        if one.row.method in (methods or known) and one.row.shots in (shots or counts)
    ]
    if len(left := {one.row.method for one in kept}) < 2:
        raise ConfigError(
            f"a comparison needs two methods; there is only {''.join(left) or 'none'}"
        )
    return kept
