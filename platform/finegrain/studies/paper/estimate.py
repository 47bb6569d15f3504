"""How long an exhibit takes: measured seconds of other runs, times the trials of this one.

A trial costs its fit and the scoring of every test image; a category's test images are encoded once
for all trials of a benchmark, and so are the changed copies of each shot that calibrate thresholds.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from finegrain.benchmark.costs import (
    CORE,
    ENCODE_MS,
    FIT_SECONDS,
    SCORE_MS,
    Cost,
    cost_of,
    mean_costs,
    read_timed,
)
from finegrain.benchmark.plan import TrialResult
from finegrain.benchmark.store import TRIALS
from finegrain.benchmark.trial import RESULT
from finegrain.data import load_category
from finegrain.decision.calibrate import COPIES
from finegrain.errors import ConfigError
from finegrain.factory import FACTORIES
from finegrain.factory.render import find_part
from finegrain.factory.write import TEST_DEFECT, TEST_GOOD
from finegrain.studies.paper.exhibits import CLIP, Exhibit, Group
from finegrain.studies.paper.inputs import Inputs, missing
from finegrain.tables import markdown

TEST_IMAGES = {"mvtec": 115, "visa": 180, "realiad": 764}  # of a category on average, where unseen


@dataclass(frozen=True)
class Planned:
    """One method of a group: how many trials, for how long, and how that is known."""

    group: Group
    method: str
    trials: int
    hours: float
    device: str


def recorded_costs(folders: Sequence[Path]) -> dict[tuple[str, str], Cost]:
    """(method, backbone) -> means over the results of the benchmarks in or below the folders.

    A variant counts to its own name and to its method's.
    """
    found: list[TrialResult] = []
    for folder in folders:
        paths = sorted(folder.glob(f"**/{TRIALS}/*/{RESULT}"))
        if not paths:
            raise ConfigError(f"{folder} holds no results of a benchmark to take timings from")
        found += filter(None, map(read_timed, paths))
    return {
        key: cost._replace(device=f"{cost.device} (--timings)")
        for key, cost in mean_costs(found).items()
    }


def plan_costs(
    groups: Iterable[Group], inputs: Inputs, recorded: Mapping[tuple[str, str], Cost]
) -> list[Planned]:
    """Every method of every group, with the encoding of its group counted to the first."""
    planned = []
    for group in groups:
        images = [
            expected_images(group.dataset, name, inputs) for name in inputs.chosen(group.dataset)
        ]
        fits = len(group.shots) * len(inputs.seeds)
        copies = len(images) * len(inputs.seeds) * max(group.shots) * (1 + COPIES)
        encoded = sum(images) + copies
        for method in group.methods:
            cost = cost_of(method, inputs.backbone(group.backbone), recorded)
            seconds = fits * (len(images) * cost.fit_seconds + sum(images) * cost.score_ms / 1000)
            seconds += encoded * cost.encode_ms / 1000
            encoded = 0  # the next methods find the tokens with the worker
            trials = fits * len(images)
            planned.append(Planned(group, method, trials, seconds / 3600, cost.device))
    return planned


def expected_images(dataset: str, category: str, inputs: Inputs) -> int:
    """How many test images the category has: counted on disk, or known beforehand."""
    if root := inputs.roots.get(dataset):
        return len(load_category(dataset, root, category).test)
    if dataset in FACTORIES:
        return TEST_GOOD + TEST_DEFECT * len(find_part(category).defects)
    return TEST_IMAGES[dataset]


def dry_run(
    exhibit: Exhibit, groups: Sequence[Group], inputs: Inputs, timings: Sequence[Path]
) -> str:
    """The plan as text: trials, hours by device, what is missing."""
    planned = plan_costs(groups, inputs, recorded_costs(timings))
    rows = [
        [
            *(p.group.dataset, p.method, p.group.backbone),
            *(str(len(inputs.chosen(p.group.dataset))), _list(p.group.shots), _list(inputs.seeds)),
            *(str(p.trials), f"{p.hours:.2f}", p.device),
        ]
        for p in planned
    ]
    header = ("data set", "method", "backbone", "categories", "shots", "seeds", "trials", "hours",
              "hours of")  # fmt: skip
    totals: dict[str, float] = defaultdict(float)
    for p in planned:
        totals[p.device] += p.hours
    hours = ", ".join(f"{value:.1f} h of {device}" for device, value in totals.items())
    lines = [
        f"{exhibit.name}: {exhibit.title}",
        "",
        markdown(header, rows),
        "",
        f"{sum(p.trials for p in planned)} trials in {len(groups)} benchmarks",
        f"Estimated: {hours}. An estimate from seconds a trial, not a measurement.",
    ]
    if any("(default)" in device for device in totals):
        lines.append(
            f"The default, measured on {CORE} for {CLIP}: {FIT_SECONDS:g} s a fit of a method "
            f"that learns, {ENCODE_MS:g} ms of encoding and {SCORE_MS:g} ms of scoring an image; "
            "encoding is scaled to other backbones by their GFLOP. It says nothing of a GPU: run "
            "one category and seed on yours, and give its folder with --timings."
        )
    if needs := missing(groups, inputs):
        lines += ["", "Missing for a real run:", *(f"  {need}" for need in needs)]
    return "\n".join(lines)


def _list(values: Iterable[int]) -> str:
    return " ".join(map(str, values))
