"""Whether what a search found beats the default, on shots that the search has not seen."""

from collections.abc import Sequence
from pathlib import Path

from finegrain.benchmark.methods import with_options
from finegrain.benchmark.plan import Benchmark, plan
from finegrain.benchmark.report import rows_of
from finegrain.benchmark.store import create_or_replace, stored_results
from finegrain.cluster.connect import Share
from finegrain.cluster.full import Tell, run_benchmark
from finegrain.errors import ConfigError
from finegrain.evaluation.compare import METRICS, Comparison, Expense, Measurement, compare
from finegrain.files import write_text
from finegrain.studies.compare.tables import text
from finegrain.studies.search.spec import Search, Setting

CONFIRM, FOUND = "confirm", "found"  # the folder, the variant's name


def check_seeds(search: Search, seeds: Sequence[int]) -> None:
    """ConfigError where a seed is the search's own."""
    if seen := set(seeds) & set(search.benchmark.seeds):
        raise ConfigError(f"seed {seen.pop()} was searched on; confirm on others")


def confirm(
    search: Search,
    best: Setting,
    directory: Path,
    seeds: Sequence[int],
    share: Share,
    tell: Tell,
    uri: str,
) -> None:
    """Run both as a benchmark below the search's directory, and write confirm.md.

    What was confirmed before stays; another best setting, or other seeds, begin anew.
    """
    listed = ", ".join(map(str, seeds))
    tell(f"\nOn other shots (seeds {listed}): {search.method} as it is and as found")
    benchmark, place = confirmation(search, best, seeds), directory / CONFIRM
    create_or_replace(benchmark, place)
    run_benchmark(benchmark, place, share, tell, uri)
    trials = plan(benchmark)
    rows = rows_of(trials, stored_results(place, trials))
    metrics = dict.fromkeys((search.metric, *METRICS))
    compared = compare(
        [Measurement(row, Expense()) for row in rows], search.method, metrics=list(metrics)
    )
    report = f"{conclusion(compared, search)}\n\n{text(compared, search.method)}\n"
    write_text(directory / "confirm.md", report)
    tell(report)


def confirmation(search: Search, best: Setting, seeds: Sequence[int]) -> Benchmark:
    """The default as METHOD, what was found as METHOD:found."""
    own = search.benchmark.options.get(search.method, {})
    variant = f"{search.method.partition(':')[0]}:{FOUND}"
    found = with_options(own, best.options)
    return search.benchmark.model_copy(
        update={
            "methods": (search.method, variant),
            "options": {**({search.method: own} if own else {}), variant: found},
            "seeds": tuple(seeds),
        }
    )


def conclusion(compared: Sequence[Comparison], search: Search) -> str:
    """What the interval of the difference says, in a sentence."""
    [one] = [c for c in compared if c.metric == search.metric and c.method != search.method]
    if one.difference is None or one.interval is None:
        return f"Too few results to say whether what was found beats the default in {one.metric}."
    low, high = one.interval
    told = (
        "beats the default"
        if low > 0
        else "is worse than the default"
        if high < 0
        else "is not shown to beat the default"
    )
    return (
        f"On other shots what was found {told} in {one.metric}: {one.difference:+.2f} points, "
        f"interval {low:+.2f} to {high:+.2f}, {one.pairs} pairs."
    )
