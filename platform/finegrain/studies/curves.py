"""Curves over the values of a hyperparameter (figure 7)."""

import io
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.text import Text
from PIL import ImageFont

from finegrain.evaluation.lettering import lettered, spelt


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
    """The figure as PNG; no letter in it becomes a box."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):  # which write their labels again as they are drawn
            labels = [label.get_text() for label in axis.get_ticklabels()]
            if (shown := [_shown(label)[0] for label in labels]) != labels:
                axis.set_ticks(axis.get_ticklocs(), labels=shown)
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        words, family = _shown(text.get_text())
        text.set_text(words)
        if family:
            text.set_fontfamily(family)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=dpi)
    return stream.getvalue()


def _shown(words: str) -> tuple[str, list[str] | None]:
    """The words and the fonts for them: one of this machine for what matplotlib's own lacks.

    Without one they are spelt.
    """
    own = get_font(findfont("DejaVu Sans"))

    def written(part: str) -> bool:
        return all(letter.isspace() or own.get_char_index(ord(letter)) for letter in part)

    if written(words):
        return words, None
    shown, font = lettered(words, 10)
    if shown == words and isinstance(font, ImageFont.FreeTypeFont) and isinstance(font.path, str):
        fontManager.addfont(font.path)
        return words, ["DejaVu Sans", FontProperties(fname=font.path).get_name()]
    return spelt(words, written), None
