"""The differences as a picture: an interval a method and number of shots, a dot a category."""

import io
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from finegrain.evaluation.compare import COVERAGE, Comparison

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")


def differences(comparisons: Sequence[Comparison], reference: str, dataset: str) -> bytes:
    """A PNG with a panel a metric; zero is the reference, to the right is better."""
    metrics = list(dict.fromkeys(one.metric for one in comparisons))
    paired = [one for one in comparisons if one.pairs]
    methods = list(dict.fromkeys(one.method for one in paired))
    shots = sorted({one.shots for one in paired})
    height = 1.6 + len(methods) * max(0.5, 0.24 * len(shots))
    figure = Figure(figsize=(1.5 + 4.2 * len(metrics), height), layout="constrained")
    panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for axes, metric in zip(panels, metrics, strict=True):
        _panel(axes, [one for one in paired if one.metric == metric], methods, shots)
        axes.set_title(metric)
        axes.set_xlabel(f"points more than {reference}")
    handles, labels = panels[0].get_legend_handles_labels()
    by_label = dict(zip(labels, handles, strict=True))
    figure.legend(by_label.values(), by_label.keys(), loc="outside lower center", ncols=6)
    figure.suptitle(
        f"{dataset}: against {reference}; bars are {COVERAGE} % intervals, dots categories"
    )
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=130)
    return stream.getvalue()


def _panel(
    axes: Axes, comparisons: Sequence[Comparison], methods: Sequence[str], shots: Sequence[int]
) -> None:
    step = 0.8 / max(len(shots), 1)
    for one in comparisons:
        if one.difference is None:
            continue
        index = shots.index(one.shots)
        place = methods.index(one.method) + (index - (len(shots) - 1) / 2) * step
        colour = COLOURS[index % len(COLOURS)]
        dots = list((one.by_category or {}).values())
        axes.scatter(dots, [place] * len(dots), s=14, color=colour, alpha=0.35, linewidths=0)
        if one.interval:
            axes.plot(one.interval, [place, place], color=colour, linewidth=2)
        axes.plot([one.difference], [place], "D", color=colour, markersize=5,
                  markeredgecolor="white", label=f"{one.shots}-shot")  # fmt: skip
    axes.axvline(0, color="black", linewidth=1)
    axes.set_yticks(range(len(methods)), methods)
    axes.set_ylim(len(methods) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.3)
