"""The job: begin or resume a search, report it, record it, and try what it found on other shots."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from finegrain.benchmark.grid import Grid
from finegrain.benchmark.plan import resolve
from finegrain.benchmark.store import only_driver
from finegrain.cluster.connect import Share
from finegrain.cluster.full import Tell
from finegrain.cluster.record import open_run
from finegrain.errors import ConfigError, first_line
from finegrain.evaluation.metrics import Scores
from finegrain.files import write_text
from finegrain.places import begun_folder, new_folder, tracking_uri
from finegrain.studies.search import spaces
from finegrain.studies.search.choice import SearchChoice
from finegrain.studies.search.confirm import check_seeds, confirm
from finegrain.studies.search.report import ranked, write_search_report
from finegrain.studies.search.run import run_settings
from finegrain.studies.search.spec import (
    SEARCH,
    Search,
    Setting,
    described,
    load_space,
    read_search,
    read_settings,
)
from finegrain.studies.search.study import write_study


def start_searches(
    grid: Grid, chosen: SearchChoice, *, per_category: bool, output: Path | None
) -> list[Path]:
    """Write search.json of one search, or of one a category; returns their directories.

    Args:
        grid: of one method, one number of shots and one seed.
        chosen: its space, how it is searched and judged.
        per_category: whether each category has a search of its own.
        output: folder of the searches; the default is named by the time.
    """
    directory = new_folder("search", output)
    if found := [*directory.glob(SEARCH), *directory.glob(f"*/{SEARCH}")]:
        raise ConfigError(
            f"{found[0].parent} holds a search; continue it with --resume {directory}"
        )
    Scores.check_name(chosen.metric)
    benchmark = resolve(grid, beside=directory.parent)
    space = _place(chosen.space or benchmark.methods[0].partition(":")[0])
    domains = described(load_space(space))
    if "training.epochs" in domains:
        raise ConfigError("training.epochs can't be searched: the scheduler stops settings early")
    joint = {directory: benchmark.categories}
    parted = {directory / name: (name,) for name in benchmark.categories}
    searches = parted if per_category else joint
    for place, categories in searches.items():
        part = benchmark.model_copy(update={"categories": categories})
        own = {"benchmark": part, "domains": domains, "space": space}
        search = Search.model_validate(dict(chosen) | own)
        write_text(place / SEARCH, search.model_dump_json(indent=1) + "\n")
    return list(searches)


def _place(space: str) -> str:
    """FILE.py:FUNCTION, where FUNCTION alone is one of ours."""
    return space if ":" in space else f"{Path(spaces.__file__).resolve()}:{space}"


def begun_searches(name: str) -> list[Path]:
    """The directories of what was begun as runs/NAME or in the folder NAME."""
    directory = begun_folder(name)
    found = sorted(
        path.parent for path in [*directory.glob(SEARCH), *directory.glob(f"*/{SEARCH}")]
    )
    if not found:
        raise ConfigError(f"{directory} holds no {SEARCH}: nothing to resume")
    return found


def run_search(
    directory: Path,
    share: Share,
    tell: Tell,
    *,
    confirm_seeds: Sequence[int] = (),
    uri: str | None = None,
    space: str | None = None,
) -> bool:
    """Run what is missing of a search; True if all settings have a score.

    Args:
        directory: of the search.
        share: what each setting gets of the cluster.
        tell: prints a line.
        confirm_seeds: which draw other shots for the best setting and the default.
        uri: of MLflow.
        space: FILE.py:FUNCTION that may be run, where it is none of ours.
    """
    search = read_search(directory, space)
    check_seeds(search, confirm_seeds)
    uri = uri or tracking_uri(directory.parent)
    with only_driver(directory):
        _run(search, directory, share, tell)
        settings = read_settings(directory)
        files = write_search_report(search, settings, directory)
        files += write_study(search, settings, directory) if search.measures_test else []
        tell("\n" + "\n\n".join(f.read_text() for f in files if f.suffix == ".md"))
        _record(search, settings, files, directory, uri, tell)
        best = ranked(search, settings)
        tell(f"Report and plots: {directory}")
    if confirm_seeds and best:
        confirm(search, best[0], directory, confirm_seeds, share, tell, uri)
    return len(best) == search.samples


def _run(search: Search, directory: Path, share: Share, tell: Tell) -> None:
    done = sum(s.status != "running" for s in read_settings(directory).values())
    categories, rungs = ", ".join(search.benchmark.categories), ", ".join(map(str, search.rungs))
    tell(
        f"{search.samples} settings of {search.method} on {categories}, {done} of them done "
        f"before; scored after {rungs} epochs"
    )
    if search.objective == "test":
        tell("The objective is the test score: this search leaks, and is recorded as such")

    def report(setting: Setting) -> None:
        nonlocal done
        done += 1
        value = setting.value(search)
        score = "–" if value is None else f"{100 * value:.2f}"
        epochs = setting.steps[-1].epoch if setting.steps else 0
        text = f"{search.metric} {score:>6} after {epochs:3} epochs"
        error = f": {setting.error}" if setting.error else ""
        tell(f"[{done}/{search.samples}] {setting.key}  {text}  {setting.status}{error}")

    run_settings(search, directory, share, report)


def _record(
    search: Search,
    settings: Mapping[str, Setting],
    files: Sequence[Path],
    directory: Path,
    uri: str,
    tell: Tell,
) -> None:
    """A parent run with the plots, and a nested run a setting; what was recorded stays."""
    tags = {
        "finegrain.kind": "search",
        "finegrain.objective": search.objective,
        "finegrain.leaks_test": str(search.objective == "test").lower(),
    }
    try:
        run = open_run(directory, uri)
        for setting in settings.values():
            text = setting.model_dump_json()
            run.record(
                f"{directory.name}_{setting.key}",
                sha256(text.encode()).hexdigest(),
                params=setting.options,
                metrics=_metrics(search, setting),
                tags=tags | {"finegrain.status": setting.status},
                artifacts=[],
                failed=setting.status == "failed",
            )
        params = search.model_dump(mode="json", exclude={"benchmark", "domains"})
        grid = {"dataset": search.benchmark.dataset, "method": search.method}
        best = ranked(search, settings)
        value = best[0].value(search) if best else None
        run.finish(
            params=params | grid | {"categories": ", ".join(search.benchmark.categories)},
            metrics={} if value is None else {f"best_{search.metric}": 100 * value},
            tags=tags,
            artifacts=[*files, directory / SEARCH],
            failed=not best,
        )
    except Exception as error:  # whatever MLflow raises, the settings are safe on disk
        tell(
            f"MLflow at {uri} failed: {first_line(error)}. The settings are safe in {directory}; "
            f"`finegrain search --resume {directory}` records them again"
        )


def _metrics(search: Search, setting: Setting) -> dict[str, float]:
    if not setting.steps:
        return {}
    last, found = setting.steps[-1], {"epochs": float(setting.steps[-1].epoch)}
    for metric in Scores.names():
        for objective in ("validation", "test") if search.measures_test else ("validation",):
            try:
                found[f"{objective}_{metric}"] = 100 * last.mean(metric, objective)
            except ConfigError:
                continue  # undefined on some category
    return found
