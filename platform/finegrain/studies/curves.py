"""Curves over the values of a hyperparameter (figure 7)."""

import io
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure


def plot_curves(title: str, labels: Sequence[str], means: Mapping[str, Sequence[float]]) -> bytes:
    """A PNG with a line a metric over the values of one hyperparameter (figure 7).

    Args:
        title: the hyperparameter.
        labels: its values, in order.
        means: metric -> a percentage for each value.
    """
    figure = Figure(figsize=(5, 3.4), layout="constrained")
    axes = figure.subplots()
    for metric, values in means.items():
        axes.plot(range(len(labels)), values, marker="o", label=metric)
        for place, value in enumerate(values):
            axes.annotate(f"{value:.1f}", (place, value), (0, 5), textcoords="offset points",
                          ha="center", fontsize=8)  # fmt: skip
    axes.set_xticks(range(len(labels)), labels)
    axes.set_xlabel(title)
    axes.set_ylabel("mean over categories, %")
    axes.margins(y=0.2)
    axes.grid(alpha=0.3)
    axes.legend()
    return rendered(figure)


def rendered(figure: Figure, dpi: int = 120) -> bytes:
    """The figure as PNG."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=dpi)
    return stream.getvalue()
