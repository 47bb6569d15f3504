"""What a benchmark came to: results.csv, tables and heatmap sheets."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from finegrain.benchmark.checks import checked_parts, checks_text, write_checks
from finegrain.benchmark.plan import Benchmark, Trial, TrialResult, plan
from finegrain.benchmark.store import load, stored_results
from finegrain.benchmark.trial import HEATMAPS
from finegrain.data.images import read_rgb
from finegrain.evaluation.figures import Picture, png, sheet
from finegrain.evaluation.metrics import Scores
from finegrain.files import write_bytes, write_text
from finegrain.tables import Alarms, Row, alarms, by_category, markdown, missing_cells, summary

COLUMNS = ("dataset", "category", "method", "shots", "seed", "status", *Scores.names(),
           "false_alarms_asked", "false_alarms", "detected", "fit_seconds", "score_ms",
           "checkpoint")  # fmt: skip


def result_line(result: TrialResult) -> str:
    """A finished trial in one line of a terminal."""
    name = f"{result.trial.category:16} {result.trial.method:22} {result.trial.shots}-shot "
    if result.status == "failed":
        return f"{name} seed {result.trial.seed}  FAILED: {result.error}"
    image, pixel = (
        percent(value) for value in (result.scores.image_auroc, result.scores.pixel_auroc)
    )
    scored = "" if result.score_ms is None else f"  score {result.score_ms:.1f} ms"
    return (
        f"{name} seed {result.trial.seed}  image {image:>5}  pixel {pixel:>5}  "
        f"fit {result.fit_seconds:.2f} s{scored}"
    )


def percent(value: float | None) -> str:
    """A score from 0 to 1 in percent, a dash where it is undefined."""
    return "–" if value is None else f"{100 * value:.1f}"


def rows_of(trials: Sequence[Trial], results: Mapping[str, TrialResult]) -> list[Row]:
    """One table row for every planned trial, whether it has a result or not."""
    rows = []
    for trial in trials:
        result = results.get(trial.name)
        scores = asdict(result.scores) if result else dict.fromkeys(Scores.names())
        in_percent = {name: None if v is None else 100 * v for name, v in scores.items()}
        fitted = result is not None and result.status == "ok"
        rows.append(
            Row(
                trial.category,
                trial.method,
                trial.shots,
                trial.seed,
                in_percent,
                fitted,
                _alarms(trial, result),
            )
        )
    return rows


def _alarms(trial: Trial, result: TrialResult | None) -> Alarms | None:
    """What the threshold did, if there is one."""
    if result is None or (result.false_alarms is None and result.detected is None):
        return None
    came, found = (
        None if share is None else 100 * share for share in (result.false_alarms, result.detected)
    )
    return Alarms(trial.alarms_per_100, came, found)


def table_text(rows: Sequence[Row]) -> str:
    """The tables and what is missing from them, as Markdown."""
    parts = [
        "Mean over categories, ± standard deviation over seeds, in percent:",
        summary(rows),
        "Image / pixel AUROC per category, mean over seeds:",
        by_category(rows),
    ]
    if table := alarms(rows):
        parts += ["False alarms among 100 good parts, and the share of bad parts found:", table]
    if missing := missing_cells(rows):
        parts.append("\n".join([f"* {len(missing)} trials are missing:", *missing]))
    return "\n\n".join(parts)


def combined(directories: Sequence[Path]) -> str:
    """The tables of several benchmarks as one for each data set; a trial of two counts once.

    Where a data set was run on several backbones, a method is named with its own.
    """
    found: dict[str, tuple[Trial, TrialResult | None]] = {}
    for directory in directories:
        trials = plan(load(directory))
        results = stored_results(directory, trials)
        for trial in trials:
            key, result = trial.config_hash(), results.get(trial.name)
            if key not in found or (result and result.status == "ok"):
                found[key] = trial, result
    parts = []
    for dataset in dict.fromkeys(trial.dataset for trial, _ in found.values()):
        kept = [(t, r) for t, r in found.values() if t.dataset == dataset]
        one = len({trial.backbone for trial, _ in kept}) == 1
        rows = []
        for trial, result in kept:
            (row,) = rows_of([trial], {trial.name: result} if result else {})
            rows.append(row if one else replace(row, method=f"{row.method} {trial.backbone}"))
        parts.append(f"{dataset}\n\n{table_text(rows)}")
    return "\n\n".join(parts)


def csv_text(trials: Sequence[Trial], results: Mapping[str, TrialResult]) -> str:
    """results.csv: a line a trial, scores in percent, empty where undefined."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for trial, row in zip(trials, rows_of(trials, results), strict=True):
        result = results.get(trial.name)
        line = trial.model_dump(include={"dataset", "category", "method", "shots", "seed"})
        line |= {name: "" if v is None else f"{v:.4f}" for name, v in row.scores.items()}
        line["status"] = result.status if result else "failed"
        if result and result.status == "ok":
            line["fit_seconds"] = f"{result.fit_seconds:.4f}"
            line["score_ms"] = "" if result.score_ms is None else f"{result.score_ms:.3f}"
            line["false_alarms"], line["detected"] = (
                "" if share is None else f"{100 * share:.2f}"
                for share in (result.false_alarms, result.detected)
            )
            line["false_alarms_asked"] = f"{trial.alarms_per_100:g}"
            line["checkpoint"] = str(result.checkpoint)
        writer.writerow(line)
    return stream.getvalue()


def report_text(trials: Sequence[Trial], results: Mapping[str, TrialResult]) -> str:
    """table.md: the tables, why trials are missing, and notes, as Markdown."""
    rows = rows_of(trials, results)
    measured = any(not row.unmeasured for row in rows)
    text = table_text(rows) if measured else _fits(trials, results)
    if checked := checked_parts(trials, results):
        text += f"\n\n{checks_text(checked)}"
    if reasons := _reasons(trials, results):
        text += "\n\n" + "\n".join(["Why they are missing:", "", *(f"- {r}" for r in reasons)])
    if notes := sorted({note for result in results.values() for note in result.notes}):
        text += "\n\n" + "\n".join(["Notes:", "", *(f"- {note}" for note in notes)])
    return text


def _fits(trials: Sequence[Trial], results: Mapping[str, TrialResult]) -> str:
    """What was fitted, of parts that have no test images."""
    lines = []
    for trial in trials:
        result = results.get(trial.name)
        done = result is not None and result.fit_seconds is not None
        seconds = f"{result.fit_seconds:.1f}" if result and done else "not fitted"
        lines.append([trial.category, trial.method, str(trial.shots), seconds])
    return "Nothing was measured: no part has a test image.\n\n" + markdown(
        ["part", "method", "photos", "seconds"], lines
    )


def _reasons(trials: Sequence[Trial], results: Mapping[str, TrialResult]) -> list[str]:
    """Each reason for which trials have no scores, after the names of those trials."""
    names: dict[str, list[str]] = {}
    for trial in trials:
        result = results.get(trial.name)
        if result is None or result.status == "failed":
            error = result.error if result and result.error else "not run to its end"
            names.setdefault(error, []).append(trial.name)
    return [f"{', '.join(group)}: {error}" for error, group in names.items()]


def write_report(
    benchmark: Benchmark,
    trials: Sequence[Trial],
    results: Mapping[str, TrialResult],
    directory: Path,
) -> str:
    """Write results.csv, table.md and a heatmap sheet a method; returns the table's text."""
    text = report_text(trials, results)
    write_text(directory / "results.csv", csv_text(trials, results))
    write_text(directory / "table.md", text + "\n")
    if checked := checked_parts(trials, results):
        write_checks(checked, directory)
    for method in benchmark.methods:
        if strips := _strips(benchmark, method, trials, results):
            title = f"{method}, {benchmark.dataset}, {max(benchmark.shots)} shots"
            write_bytes(
                directory / f"heatmaps_{method.replace(':', '-')}.png", png(sheet(strips, title))
            )
    return text


def _strips(
    benchmark: Benchmark,
    method: str,
    trials: Sequence[Trial],
    results: Mapping[str, TrialResult],
) -> list[tuple[str, Picture]]:
    """The heatmap strips of the method's first seed at the most shots, by category."""
    chosen = [
        results[trial.name]
        for trial in trials
        if trial.method == method
        and trial.shots == max(benchmark.shots)
        and trial.seed == benchmark.seeds[0]
        and trial.name in results
    ]
    paths = [(r.trial.category, r.checkpoint.parent / HEATMAPS) for r in chosen if r.checkpoint]
    return [(name, read_rgb(path)) for name, path in paths if path.is_file()]
