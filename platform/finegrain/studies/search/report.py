"""What a search found: the best setting, how the others did, and which options mattered."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.visualization.matplotlib import plot_parallel_coordinate, plot_param_importances
from ray.tune.search.optuna import OptunaSearch

from finegrain.files import write_bytes, write_text
from finegrain.studies.curves import rendered
from finegrain.studies.search.spec import Search, Setting, load_space
from finegrain.tables import markdown

SHOWN = 10  # settings in the table
LEAKS = "The objective was the test score: whatever follows is no estimate of anything unseen."


def ranked(search: Search, settings: Mapping[str, Setting]) -> list[Setting]:
    """The settings that have a score: those that learnt longest first, of these the best.

    A score after fewer epochs is not compared with one after more: ASHA stopped the former.
    """
    scored = [s for s in settings.values() if s.steps]
    return sorted(scored, key=lambda s: (-s.steps[-1].epoch, -(s.value(search) or 0.0), s.key))


def write_search_report(
    search: Search, settings: Mapping[str, Setting], directory: Path
) -> list[Path]:
    """Write search.md and the plots; returns the files."""
    best = ranked(search, settings)
    files = [directory / "search.md"]
    write_text(files[0], search_text(search, settings, best) + "\n")
    for name, picture in _plots(search, best).items():
        files.append(directory / f"{name}.png")
        write_bytes(files[-1], picture)
    return files


def search_text(search: Search, settings: Mapping[str, Setting], best: Sequence[Setting]) -> str:
    """The report as Markdown."""
    ends = [setting.status for setting in settings.values()]
    counts = ", ".join(f"{ends.count(s)} {s}" for s in dict.fromkeys(sorted(ends)))
    lines = [
        f"{search.method} on {search.benchmark.dataset}: {', '.join(search.benchmark.categories)}; "
        f"{search.benchmark.shots[0]} shots, seed {search.benchmark.seeds[0]}",
        "",
        f"{len(settings)} of {search.samples} settings ({counts}), searcher {search.searcher}, "
        f"scheduler {search.scheduler}; high {search.metric} of the {search.objective} is sought",
    ]
    if search.objective == "test":
        lines += ["", LEAKS]
    if not best:
        return "\n".join([*lines, "", "No setting has a score.", *_failures(settings)])
    header = [search.metric, "epochs", "seconds", *_short(best[0].options)]
    rows = [
        [
            f"{100 * (setting.value(search) or 0.0):.2f}",
            str(setting.steps[-1].epoch),
            f"{setting.steps[-1].seconds:.0f}",
            *(_shown(value) for value in setting.options.values()),
        ]
        for setting in best[:SHOWN]
    ]
    lines += ["", markdown(header, rows), "", "The best, as options of a benchmark:", ""]
    lines += [f"    --set {search.method}.{k}={_plain(v)}" for k, v in best[0].options.items()]
    return "\n".join([*lines, *_failures(settings)])


def _failures(settings: Mapping[str, Setting]) -> list[str]:
    failed = [f"* {s.key}: {s.error}" for s in settings.values() if s.status == "failed"]
    return ["", "Failed:", *failed] if failed else []


def _short(options: Mapping[str, object]) -> list[str]:
    """An option's own name, with its group's where two share it."""
    names = [name.rpartition(".")[2] for name in options]
    return [
        short if names.count(short) == 1 else name
        for name, short in zip(options, names, strict=True)
    ]


def _shown(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _plots(search: Search, best: Sequence[Setting]) -> dict[str, bytes]:
    """Importance of the options and parallel coordinates, by the scores at the first rung.

    There all settings have learnt equally long.
    """
    if len(best) < 4:
        return {}
    study = optuna.create_study(direction="maximize")
    space = OptunaSearch.convert_search_space(load_space(search.space))
    for setting in best:
        value = 100 * setting.steps[0].mean(search.metric, search.objective)
        made = optuna.trial.create_trial(params=setting.options, distributions=space, value=value)
        study.add_trial(made)
    title = f"{search.objective}, %"
    plots = {"parallel_coordinates": _drawn(plot_parallel_coordinate, study, title)}
    if len({trial.value for trial in study.trials}) > 1:
        plots["importance"] = _drawn(plot_param_importances, study, title)
    return plots


def _drawn(plot: Callable[..., Any], study: optuna.Study, title: str) -> bytes:
    """Optuna's picture of a study as PNG."""
    plt.switch_backend("Agg")
    with plt.rc_context(), warnings.catch_warnings():  # it sets a style for the whole process
        warnings.simplefilter("ignore", ExperimentalWarning)
        axes = plot(study, target_name=title)
    figure = axes.figure
    figure.set_size_inches(12, 6)
    figure.tight_layout()
    picture = rendered(figure, dpi=100)
    plt.close(figure)
    return picture
