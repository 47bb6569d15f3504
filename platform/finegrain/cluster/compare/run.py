"""Read recorded trials, compare their methods, write what came of it."""

import time
from collections.abc import Sequence
from pathlib import Path

from finegrain.cluster.compare.figure import differences
from finegrain.cluster.compare.pool import pool
from finegrain.cluster.full import runs_folder
from finegrain.errors import ConfigError
from finegrain.evaluation.compare import METRICS, RESAMPLES, compare
from finegrain.evaluation.compare_tables import csv_text, published_lines, source_note, text
from finegrain.evaluation.metrics import Scores
from finegrain.files import write_bytes, write_text
from finegrain.tracking import recorded_trials

NAME = "comparison"


def compare_recorded(
    wanted: Sequence[str],
    *,
    uri: str,
    reference: str | None = None,
    metrics: Sequence[str] = METRICS,
    shots: Sequence[int] = (),
    published: bool = False,
    resamples: int = RESAMPLES,
    output: Path | None = None,
) -> tuple[str, Path]:
    """Compare what MLflow has of these benchmarks and runs; the text, and the folder written.

    Raises:
        ConfigError: an unknown run, metric, number of shots or reference, or a single method.
    """
    if unknown := [name for name in metrics if name not in Scores.names()]:
        raise ConfigError(f"no metric {', '.join(unknown)}; there are {', '.join(Scores.names())}")
    found = pool(recorded_trials(uri, wanted))
    known = sorted({one.row.shots for one in found.measured})
    if absent := sorted(set(shots) - set(known)):
        raise ConfigError(f"no results at {absent} shots in these runs; there are {known}")
    kept = [one for one in found.measured if not shots or one.row.shots in shots]
    if len(methods := sorted({one.row.method for one in kept})) < 2:
        raise ConfigError(f"a comparison needs two methods; these runs have only {methods[0]}")
    reference = reference or found.first
    compared = compare(kept, reference, metrics=metrics, resamples=resamples)
    lines = published_lines(found.dataset, shots or known) if published else []
    notes = [*found.notes, *([source_note(found.dataset, lines)] if published else [])]
    parts = [f"{found.dataset}: {', '.join(wanted)}", text(compared, reference, lines)]
    whole = "\n".join(["\n\n".join(parts), *(f"- {note}" for note in notes)])
    folder = (output or runs_folder() / time.strftime("compare-%Y%m%d-%H%M%S")).resolve()
    write_text(folder / f"{NAME}.md", whole + "\n")
    write_text(folder / f"{NAME}.csv", csv_text(compared, lines))
    if any(one.pairs for one in compared):
        write_bytes(folder / f"{NAME}.png", differences(compared, reference, found.dataset))
    return whole, folder
