"""What a simulated benchmark comes to, as Markdown, CSV and a plot."""

import csv
import io
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from finegrain.studies.curves import rendered
from finegrain.studies.scale.replay import Replayed
from finegrain.tables import markdown

COLUMNS = ("workers", "makespan_s", "speed_up", "utilisation", "encoding", "tail_s",
           "driver_busy", "mlflow_busy", "mlflow_lag_s", "limit")  # fmt: skip
STYLES = {"plan": "C0o-", "longest": "C1s-", "grouped": "C2D--"}  # the last lies over another


def _cells(row: Replayed) -> list[str]:
    outcome = row.outcome
    return [
        *(str(outcome.workers), f"{outcome.makespan:.0f}", f"{row.speed_up:.1f}"),
        *(f"{100 * share:.0f} %" for share in (outcome.utilisation, outcome.encoding)),
        f"{outcome.tail:.0f}",
        *(f"{100 * share:.1f} %" for share in (outcome.driver_busy, outcome.mlflow_busy)),
        *(f"{outcome.mlflow_lag:.1f}", row.limit),
    ]


def order_tables(rows: Sequence[Replayed]) -> str:
    """A Markdown table for each order, and one that compares their makespans."""
    by_order: dict[str, list[Replayed]] = {}
    for row in rows:
        by_order.setdefault(row.order, []).append(row)
    first = next(iter(by_order.values()))
    lines = [
        [
            *(str(row.outcome.workers), f"{row.ideal:.0f}"),
            *(f"{same[place].outcome.makespan:.0f}" for same in by_order.values()),
        ]
        for place, row in enumerate(first)
    ]
    parts = [
        "Makespan in seconds by order:",
        markdown(("workers", "least possible", *by_order), lines),
    ]
    for order, same in by_order.items():
        parts += [f"Order: {order}", markdown(COLUMNS, [_cells(row) for row in same])]
    return "\n\n".join(parts)


def csv_text(rows: Sequence[Replayed]) -> str:
    """A line an order and number of workers; shares from 0 to 1."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["order", "ideal_s", *COLUMNS])
    for row in rows:
        o = row.outcome
        numbers = (o.makespan, row.speed_up, o.utilisation, o.encoding, o.tail, o.driver_busy,
                   o.mlflow_busy, o.mlflow_lag)  # fmt: skip
        values = [f"{value:.4f}" for value in numbers]
        writer.writerow([row.order, f"{row.ideal:.4f}", o.workers, *values, row.limit])
    return stream.getvalue()


def plot(rows: Sequence[Replayed], title: str) -> bytes:
    """A PNG: makespan over workers for each order beside the least possible; what limits it."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    times, shares = figure.subplots(1, 2)
    ideal = {row.outcome.workers: row.ideal for row in rows}
    times.plot(list(ideal), list(ideal.values()), "k:", label="least possible")
    for order, style in STYLES.items():
        same = [row for row in rows if row.order == order]
        counts = [row.outcome.workers for row in same]
        times.plot(counts, [row.outcome.makespan for row in same], style, ms=4, label=order)
        used = [100 * row.ideal / row.outcome.makespan for row in same]
        shares.plot(counts, used, style, ms=4, label=order)
    for row in rows:
        if row.order == "grouped":
            shares.annotate(row.limit, (row.outcome.workers, 3), rotation=90, ha="center",
                            va="bottom", fontsize=8, color="dimgrey")  # fmt: skip
    times.set(yscale="log", ylabel="seconds until the last result")
    times.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    times.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    times.yaxis.set_minor_formatter(NullFormatter())
    shares.set(ylim=(0, 105), ylabel="least possible / taken, %")
    shares.set_title("in grey: what limits the grouped order", fontsize=9)
    for axes in (times, shares):
        axes.set_xscale("log", base=2)
        axes.set_xticks(list(ideal), [str(count) for count in ideal])
        axes.set_xlabel("workers")
        axes.grid(alpha=0.3, which="both")
    times.legend()
    figure.suptitle(title)
    return rendered(figure)
