"""Comparisons as Markdown and CSV, with the paper's own numbers marked among them."""

import csv
import io
from collections.abc import Sequence

from finegrain.evaluation.compare import COVERAGE, FEWEST_TESTED, TIE, Comparison
from finegrain.evaluation.published import MARK, SOURCE, PublishedRow, published_rows
from finegrain.tables import UNDEFINED, markdown

HEADER = ("method", "shots", "mean", "reference", "difference", f"{COVERAGE} % interval", "p",
          "wins/ties/losses", "worst category", "pairs", "left out")  # fmt: skip
COSTS = {"fit_seconds": "fit s", "encode_ms": "encode ms", "score_ms": "score ms",
         "values": "values"}  # fmt: skip
COLUMNS = ("source", "metric", "method", "shots", "mean", "reference_mean", "difference", "low",
           "high", "p_value", "wins", "ties", "losses", "worst_category", "worst_difference",
           "pairs", "left_out", *COSTS)  # fmt: skip


def published_lines(dataset: str, shots: Sequence[int]) -> list[PublishedRow]:
    """What the paper has of methods on that data set at these shots; none of variants."""
    rows = [
        row
        for row in published_rows()
        if row.dataset == dataset and row.shots in shots and not (row.variant or row.resolution)
    ]
    first = {(row.measured_as, row.shots): row for row in reversed(rows)}  # in its first table
    return sorted(first.values(), key=lambda row: (row.measured_as, row.shots or 0))


def text(
    comparisons: Sequence[Comparison], reference: str, published: Sequence[PublishedRow] = ()
) -> str:
    """For each metric the differences, overall and by category; then the costs and a legend."""
    parts = []
    for metric in dict.fromkeys(one.metric for one in comparisons):
        chosen = [one for one in comparisons if one.metric == metric]
        body = [_line(one) for one in chosen] + _published(published, metric)
        parts += [f"{metric}, against {reference}, in percent:", markdown(HEADER, body)]
        parts += _by_category(chosen, metric)
    first = [one for one in comparisons if one.metric == comparisons[0].metric]
    return "\n\n".join([*parts, "Costs, mean over trials:", _costs(first), _legend(comparisons)])


def csv_text(comparisons: Sequence[Comparison], published: Sequence[PublishedRow] = ()) -> str:
    """A line for each metric, method and number of shots; empty where undefined."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for one in comparisons:
        worst, counts = one.worst or ("", None), one.wins_ties_losses or (None, None, None)
        low, high = one.interval or (None, None)
        numbers = {
            "mean": one.mean,
            "reference_mean": one.reference_mean,
            "difference": one.difference,
            "low": low,
            "high": high,
            "p_value": one.p_value,
            "worst_difference": worst[1],
            **{name: getattr(one.cost, name) for name in COSTS},
        }
        line = {name: f"{v:.4f}" for name, v in numbers.items() if v is not None}
        line |= {"source": "measured", "metric": one.metric, "method": one.method}
        line |= {"shots": str(one.shots), "worst_category": worst[0]}
        line |= {"pairs": str(one.pairs), "left_out": str(one.left_out)}
        named = zip(("wins", "ties", "losses"), counts, strict=True)
        writer.writerow(line | {name: str(v) for name, v in named if v is not None})
    for metric in dict.fromkeys(one.metric for one in comparisons):
        for row in published:
            if metric in row.scores:
                line = {"source": f"published {MARK}", "metric": metric, "method": row.measured_as}
                writer.writerow(line | {"shots": row.shots, "mean": row.scores[metric]})
    return stream.getvalue()


def _line(one: Comparison) -> list[str]:
    if one.pairs:
        counts = [str(one.pairs), str(one.left_out)]
    else:
        counts = [UNDEFINED, str(one.left_out) if one.left_out else UNDEFINED]
    return [
        one.method,
        str(one.shots),
        _percent(one.mean),
        _percent(one.reference_mean),
        signed(one.difference),
        f"[{signed(one.interval.low)}, {signed(one.interval.high)}]" if one.interval else UNDEFINED,
        UNDEFINED if one.p_value is None else f"{one.p_value:.3f}",
        "/".join(map(str, one.wins_ties_losses)) if one.wins_ties_losses else UNDEFINED,
        f"{one.worst[0]} {signed(one.worst[1])}" if one.worst else UNDEFINED,
        *counts,
    ]


def _published(rows: Sequence[PublishedRow], metric: str) -> list[list[str]]:
    """The paper's means as it prints them, without pairs."""
    nothing = [UNDEFINED] * (len(HEADER) - 3)
    return [
        [f"{row.measured_as} {MARK}", str(row.shots), f"{row.scores[metric]:g}", *nothing]
        for row in rows
        if metric in row.scores
    ]


def _by_category(comparisons: Sequence[Comparison], metric: str) -> list[str]:
    """For each number of shots the differences of every category, where there is any pair."""
    parts = []
    for shots in sorted({one.shots for one in comparisons}):
        chosen = [(one, one.by_category) for one in comparisons if one.shots == shots]
        paired = [(one.method, found) for one, found in chosen if found]
        names = sorted({name for _, found in paired for name in found})
        body = [[name, *(signed(found.get(name)) for _, found in paired)] for name in names]
        if body:
            header = [f"{metric}, {shots}-shot", *(method for method, _ in paired)]
            parts.append(markdown(header, body))
    return parts


def _costs(comparisons: Sequence[Comparison]) -> str:
    body = [
        [
            one.method,
            str(one.shots),
            *(
                UNDEFINED if (value := getattr(one.cost, name)) is None else form.format(value)
                for name, form in zip(COSTS, ("{:.2f}", "{:.1f}", "{:.1f}", "{:,.0f}"), strict=True)
            ),
        ]
        for one in comparisons
    ]
    return markdown(["method", "shots", *COSTS.values()], body)


def _legend(comparisons: Sequence[Comparison]) -> str:
    several = any(one.by_category and len(one.by_category) > 1 for one in comparisons)
    lines = [
        "mean, reference: over categories of the mean over seeds, of the pairs alone; a pair is a "
        "category and seed that both methods have, left out are those that one or both lack.",
        f"{COVERAGE} % interval: bootstrap over "
        + (
            "categories and the seeds inside each; with few categories it is too narrow (with 8 "
            "it covers about 90 %)."
            if several
            else "the seeds of one category."
        ),
        f"p: Wilcoxon's signed-rank test over categories, from {FEWEST_TESTED} on, each for "
        "itself: of twenty such tests one is below 0.05 by chance.",
        f"Ties differ by less than {TIE} points. Times are of the machine and its load then; "
        "encoding is of an image file to tokens, scoring from there; values are the numbers in "
        "a checkpoint.",
    ]
    return "\n".join(f"- {line}" for line in lines)


def signed(value: float | None) -> str:
    """A difference with its sign, a dash where it is undefined."""
    return UNDEFINED if value is None else f"{round(value, 1) + 0.0:+.1f}"


def _percent(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:.1f}"


def source_note(dataset: str, published: Sequence[PublishedRow]) -> str:
    """Where the marked lines come from, or that there are none."""
    if published:
        return f"{SOURCE}: on the paper's backbones and all categories of {dataset}."
    known = dict.fromkeys(row.dataset for row in published_rows())
    return f"None published for {dataset} at these shots; there are numbers for {', '.join(known)}."
