"""Run what an exhibit still misses, then write its table or draw its figure.

Below the output folder there is a benchmark folder for each group, and tables/ or figures/.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from finegrain.benchmark.plan import Trial, TrialResult, plan, read_result, resolve
from finegrain.benchmark.report import rows_of
from finegrain.benchmark.store import create_or_replace, load, stored_results, trial_directory
from finegrain.benchmark.trial import RESULT, store
from finegrain.cluster.connect import Share
from finegrain.cluster.full import Tell, run_benchmark
from finegrain.errors import ConfigError
from finegrain.files import write_bytes, write_text
from finegrain.places import runs_folder
from finegrain.studies.paper.estimate import dry_run
from finegrain.studies.paper.exhibits import Exhibit, Group, find_exhibit
from finegrain.studies.paper.figures import FIGURES
from finegrain.studies.paper.inputs import Inputs, missing
from finegrain.studies.paper.layout import Key, Measured, PaperTable

ONE_SEED = ("figure-5", "figure-6")  # pictures of single fits


def make_exhibit(
    name: str,
    inputs: Inputs,
    *,
    output: Path | None,
    share: Share,
    tracking_uri: str | None = None,
    dry: bool = False,
    timings: Sequence[Path] = (),
    tell: Tell = print,
) -> bool:
    """Make table-N or figure-N below `output`, or tell its plan; True if nothing is missing."""
    exhibit = find_exhibit(name)
    if name in ONE_SEED:
        inputs = replace(inputs, seeds=inputs.seeds[:1])
    groups = inputs.groups(exhibit)
    if dry:
        tell(dry_run(exhibit, groups, inputs, timings))
        return True
    if needs := missing(groups, inputs):
        raise ConfigError("\n  ".join([f"{name} needs", *needs]))
    folder = (output or runs_folder() / "paper").resolve()
    complete = True
    for group in groups:
        tell(f"\n{group.folder}: {', '.join(group.methods)}")
        complete &= run_group(group, inputs, folder, share, tell, tracking_uri)
    written = write_exhibit(exhibit, groups, inputs, folder, tell)
    tell(f"{name}: {', '.join(map(str, written))}")
    return complete


def run_group(
    group: Group, inputs: Inputs, folder: Path, share: Share, tell: Tell, uri: str | None = None
) -> bool:
    """Run what the group's benchmark misses; True if it is complete."""
    directory = folder / group.folder
    benchmark = resolve(inputs.grid(group), beside=folder)
    create_or_replace(benchmark, directory)
    adopt(plan(benchmark), directory)
    return run_benchmark(benchmark, directory, share, tell, uri)


def adopt(trials: Sequence[Trial], directory: Path) -> None:
    """Take over results of the very same trials from the benchmarks beside this one."""
    for trial in trials:
        own = trial_directory(directory, trial)
        if (own / RESULT).exists():
            continue
        for path in sorted(directory.parent.glob(f"*/{own.relative_to(directory)}/{RESULT}")):
            result = read_result(path, trial)
            if result and result.status == "ok":
                store(result, own)
                break


def write_exhibit(
    exhibit: Exhibit, groups: Sequence[Group], inputs: Inputs, folder: Path, tell: Tell
) -> list[Path]:
    """Write the table, or the figure's pictures, from the results on disk."""
    if draw := FIGURES.get(exhibit.name):
        pictures = draw({group: folder / group.folder for group in groups})
        paths = [folder / "figures" / f"{exhibit.name}_{title}.png" for title in pictures]
        for path, picture in zip(paths, pictures.values(), strict=True):
            write_bytes(path, picture)
        return paths
    table = PaperTable(exhibit, inputs, measured(groups, folder))
    base = folder / "tables" / exhibit.name
    write_text(base.with_suffix(".md"), table.markdown() + "\n")
    write_text(base.with_suffix(".csv"), table.csv())
    tell(f"\n{table.markdown()}\n")
    return [base.with_suffix(".md"), base.with_suffix(".csv")]


def measured(groups: Sequence[Group], folder: Path) -> dict[Key, Measured]:
    """What lies on disk of the groups, by method, planned backbone, data set and shots."""
    found = {}
    for group in groups:
        directory = folder / group.folder
        trials = plan(load(directory))
        results = stored_results(directory, trials)
        rows = rows_of(trials, results)
        for method in group.methods:
            for shots in group.shots:
                chosen = [
                    (row, results.get(trial.name))
                    for row, trial in zip(rows, trials, strict=True)
                    if (row.method, row.shots) == (method, shots)
                ]
                times = [_ms(result) for _, result in chosen if result and result.status == "ok"]
                found[method, group.backbone, group.dataset, shots] = Measured(
                    [row for row, _ in chosen], fmean(times) if times else None
                )
    return found


def _ms(result: TrialResult) -> float:
    """From file to prediction."""
    return (result.encode_ms or 0) + (result.score_ms or 0)
