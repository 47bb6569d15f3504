"""The differences as a picture: an interval a method and number of shots, a dot a category."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from finegrain.evaluation.compare import COVERAGE, Comparison
from finegrain.studies.curves import rendered

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")


def differences(comparisons: Sequence[Comparison], reference: str, dataset: str) -> bytes:
    """A PNG with a panel a metric; zero is the reference, to the right is better.

    There must be a pair.
    """
    metrics = list(dict.fromkeys(one.metric for one in comparisons))
    paired = [one for one in comparisons if one.pairs]
    methods = list(dict.fromkeys(one.method for one in paired))
    shots = sorted({one.shots for one in paired})
    height = 1.7 + len(methods) * max(0.5, 0.28 * len(shots))
    figure = Figure(figsize=(1.5 + 4.2 * len(metrics), height), layout="constrained")
    panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for axes, metric in zip(panels, metrics, strict=True):
        _panel(axes, [one for one in paired if one.metric == metric], methods, shots)
        axes.set_title(metric)
        axes.set_xlabel(f"← worse   points more than {reference}   better →")
    handles = {
        label: h
        for axes in panels
        for h, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    labels = [_label(count) for count in shots]
    figure.legend([handles[label] for label in labels], labels, loc="outside lower center", ncols=6)
    figure.suptitle(
        f"{dataset}: mean difference (diamond), {COVERAGE} % interval (bar), "
        "categories (dots below)",
        fontsize="medium",
    )
    return rendered(figure, dpi=130)


def _panel(
    axes: Axes, comparisons: Sequence[Comparison], methods: Sequence[str], shots: Sequence[int]
) -> None:
    step = 0.86 / max(len(shots), 1)  # between numbers of shots; a method's band is 1 high
    for one in comparisons:
        if one.difference is None:
            continue
        index = shots.index(one.shots)
        place = methods.index(one.method) + (index - (len(shots) - 1) / 2) * step - 0.12 * step
        colour = COLOURS[index % len(COLOURS)]
        dots = list((one.by_category or {}).values())
        below = [place + 0.4 * step] * len(dots)
        axes.scatter(dots, below, s=16, color=colour, alpha=0.55, linewidths=0, zorder=3)
        if one.interval:
            axes.plot(one.interval, [place, place], color=colour, linewidth=2.5, zorder=3)
        axes.plot([one.difference], [place], "D", color=colour, markersize=6,
                  markeredgecolor="white", label=_label(one.shots), zorder=4)  # fmt: skip
    for index in range(0, len(methods), 2):
        axes.axhspan(index - 0.5, index + 0.5, color="0.95", zorder=0)
    axes.axvline(0, color="black", linewidth=1, zorder=2)
    axes.set_yticks(range(len(methods)), [name.replace(" [", "\n[") for name in methods])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(methods) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.4, zorder=1)


def _label(shots: int) -> str:
    return f"{shots}-shot"
