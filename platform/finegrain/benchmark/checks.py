"""What the self-checks of parts came to: a table, a Markdown file and one page with pictures.

Doubtful parts come first, the weakest of them at the top.
"""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from finegrain.benchmark.plan import Trial, TrialResult
from finegrain.benchmark.trial import SELF_CHECK
from finegrain.evaluation.photos import ALIGNED
from finegrain.evaluation.selfcheck import AREAS, SelfCheck
from finegrain.evaluation.synthetic import KINDS
from finegrain.files import write_text
from finegrain.tables import UNDEFINED, markdown

STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:68rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse}td,th{padding:.2rem .7rem;border-bottom:1px solid #ccc;
text-align:right}td:first-child,th:first-child{text-align:left}img{max-width:100%}
h2{margin-top:2.5rem}.doubt{color:#a33000}"""
Checked = tuple[TrialResult, SelfCheck]


def checked_parts(trials: Sequence[Trial], results: Mapping[str, TrialResult]) -> list[Checked]:
    """The trials that were checked, doubtful ones first, then by what painted defects score."""
    found = [results[trial.name] for trial in trials if trial.name in results]
    checked = [(result, result.self_check) for result in found if result.self_check]
    return sorted(checked, key=lambda pair: (not pair[1].doubtful, pair[1].separation))


def checks_text(checked: Sequence[Checked]) -> str:
    """A table of all parts and a list of what to do, as Markdown."""
    areas = [f"{100 * area:g} %" for area in AREAS]
    header = ["part", "photos", "lie alike", "left-out alarms", *areas, "expected AUROC", "doubts"]
    table = markdown(header, [_line(result, check) for result, check in checked])
    parts = [
        "Seen in the photos alone: painted defects found, in percent, by their share of the image.",
        table,
    ]
    if todo := _todo(checked):
        parts.append("\n".join(["What to do:", "", *(f"- {line}" for line in todo)]))
    return "\n\n".join(parts)


def _line(result: TrialResult, check: SelfCheck) -> list[str]:
    alarms = UNDEFINED if check.false_alarms is None else f"{check.false_alarms}/{check.photos}"
    return [
        result.trial.category,
        str(check.photos),
        alike(check),
        alarms,
        *(_share(check.found(area)) for area in AREAS),
        f"{100 * check.separation:.1f}",
        str(len(check.advice) or UNDEFINED),
    ]


def alike(check: SelfCheck) -> str:
    """Whether the parts lie alike on the photos, which memory and calibration gain by."""
    if check.aligned is None:
        return UNDEFINED
    return "yes" if check.aligned >= ALIGNED else f"no, {100 * check.aligned:.0f} %"


def _share(value: float | None) -> str:
    return UNDEFINED if value is None else f"{100 * value:.0f}"


def _todo(checked: Sequence[Checked]) -> list[str]:
    return [
        f"{result.trial.category}: {line}" for result, check in checked for line in check.advice
    ]


def write_checks(checked: Sequence[Checked], directory: Path) -> None:
    """Write self_check.md and self_check.html, which needs no other file."""
    write_text(directory / "self_check.md", f"# Self-check\n\n{checks_text(checked)}\n")
    write_text(directory / "self_check.html", page(checked))


def page(checked: Sequence[Checked]) -> str:
    """The HTML page, its pictures inside."""
    sections = "".join(_section(result, check) for result, check in checked)
    doubtful = sum(check.doubtful for _, check in checked)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Self-check</title>'
        f"<style>{STYLE}</style><h1>Self-check of {len(checked)} parts</h1>"
        f"<p>Doubtful parts come first; there are {doubtful}. All of it is seen in the good photos "
        "alone: defects are painted on each photo, which is scored against the others. No test "
        f"image was looked at.</p>{sections}</html>\n"
    )


def _section(result: TrialResult, check: SelfCheck) -> str:
    lines = "".join(f'<li class="doubt">{escape(line)}' for line in check.advice)
    head = "".join(f"<th>{100 * area:g} %" for area in AREAS)
    rows = "".join(
        f"<tr><td>{kind}" + "".join(f"<td>{_share(check.found(area, kind))}" for area in AREAS)
        for kind in KINDS
    )
    picture = ""
    if result.checkpoint and (path := result.checkpoint.parent / SELF_CHECK).is_file():
        data = base64.b64encode(path.read_bytes()).decode()
        title = (
            f"the photos, and painted defects of 1 % with their maps, of {result.trial.category}"
        )
        picture = f'<p><img alt="{escape(title)}" src="data:image/png;base64,{data}">'
    return (
        f"<section><h2>{escape(result.trial.category)}</h2><p>{escape(result.trial.method)}, "
        f"{check.photos} photos; they lie alike: {alike(check)}; expected AUROC of painted "
        f"defects: {100 * check.separation:.1f} %</p><ul>{lines or '<li>nothing to do'}</ul>"
        f"<table><tr><th>found of painted defects, in percent, at {check.asked:g} false alarms of "
        f"100{head}{rows}</table>{picture}</section>"
    )
