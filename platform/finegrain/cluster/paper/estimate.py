"""How long an exhibit takes: measured seconds of other runs, times the trials of this one.

A trial costs its fit and the scoring of every test image; a category's test images are encoded once
for all trials of a benchmark, and so are the changed copies of each shot that calibrate thresholds.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from pydantic import ValidationError

from finegrain.calibration import COPIES
from finegrain.clip.openclip import QUICK
from finegrain.cluster.bench import TRIALS
from finegrain.cluster.paper.exhibits import CLIP, Exhibit, Group
from finegrain.cluster.paper.inputs import Inputs, missing
from finegrain.cluster.plan import TrialResult
from finegrain.cluster.trial import RESULT
from finegrain.data import load_category
from finegrain.data.factory.render import find_part
from finegrain.data.factory.write import TEST_DEFECT, TEST_GOOD
from finegrain.errors import ConfigError
from finegrain.evaluation.tables import markdown

TEST_IMAGES = {"mvtec": 115, "visa": 180, "realiad": 764}  # of a category on average, where unseen


class Cost(NamedTuple):
    """Seconds of one fit, milliseconds an image, and the device that they were measured on."""

    fit_seconds: float
    score_ms: float
    encode_ms: float
    device: str


@dataclass(frozen=True)
class Planned:
    """One method of a group: how many trials, for how long, and how that is known."""

    group: Group
    method: str
    trials: int
    hours: float
    device: str


CORE = "one CPU core"
# Measured beforehand for the ViT-B-16-plus-240 in CPU time of one thread of a shared machine:
# float32, random weights, 4 shots of the factory's gear; a fit is extrapolated to 100 epochs.
FIT_SECONDS, SCORE_MS, ENCODE_MS = 640.0, 21.0, 796.0
# Encoding is scaled by the work of the image tower, about 2 × parameters × tokens, in GFLOP.
GFLOP = {
    **dict.fromkeys(("bundled", "efficientnet_lite1"), 3.0),  # by their measured 47 ms
    "resnet18": 3.6,
    "wide_resnet50_2": 23.0,
    "ViT-B-32": 8.6,
    "ViT-B-16": 34.0,
    "ViT-B-16-plus": 46.0,
    CLIP: 53.0,
    "ViT-L-14": 156.0,
    "ViT-L-14-336": 351.0,
    "ViT-H-14": 325.0,
}
LEARNED = ("finegrained", "promptad")  # the others' fits are short beside encoding


def recorded_costs(folders: Sequence[Path]) -> dict[tuple[str, str], Cost]:
    """(method, backbone) -> means over the results of the benchmarks in or below the folders.

    A variant counts to its own name and to its method's.
    """
    found: dict[tuple[str, str], list[TrialResult]] = defaultdict(list)
    for folder in folders:
        paths = sorted(folder.glob(f"**/{TRIALS}/*/{RESULT}"))
        if not paths:
            raise ConfigError(f"{folder} holds no results of a benchmark to take timings from")
        for result in filter(None, map(_read, paths)):
            method = result.trial.method
            for name in {method, method.partition(":")[0]}:
                found[name, result.trial.backbone].append(result)
    return {key: _mean(results) for key, results in found.items()}


def _read(path: Path) -> TrialResult | None:
    """A result with all its timings, of whatever version; None where it has none."""
    try:
        result = TrialResult.model_validate_json(path.read_bytes())
    except ValidationError:
        return None
    timings = (result.fit_seconds, result.score_ms, result.encode_ms)
    return None if None in timings else result


def _mean(results: Sequence[TrialResult]) -> Cost:
    def mean(name: str) -> float:
        return fmean(float(getattr(result, name)) for result in results)

    devices = Counter(result.environment.get("device", "unknown") for result in results)
    return Cost(
        mean("fit_seconds"),
        mean("score_ms"),
        mean("encode_ms"),
        f"{devices.most_common(1)[0][0]} (--timings)",
    )


def cost_of(method: str, backbone: str, recorded: Mapping[tuple[str, str], Cost]) -> Cost:
    """Recorded, or the default; an unknown backbone costs what the ViT-B-16-plus-240 does."""
    name = method.partition(":")[0]
    if found := recorded.get((method, backbone)) or recorded.get((name, backbone)):
        return found
    work = GFLOP.get(backbone.removesuffix(QUICK), GFLOP[CLIP]) / GFLOP[CLIP]
    fit = FIT_SECONDS if name in LEARNED else 1.0
    return Cost(fit, SCORE_MS, ENCODE_MS * work, f"{CORE} (default)")


def plan_costs(
    groups: Iterable[Group], inputs: Inputs, recorded: Mapping[tuple[str, str], Cost]
) -> list[Planned]:
    """Every method of every group, with the encoding of its group counted to the first."""
    planned = []
    for group in groups:
        images = [test_images(group.dataset, name, inputs) for name in inputs.chosen(group.dataset)]
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


def test_images(dataset: str, category: str, inputs: Inputs) -> int:
    """How many test images the category has: counted on disk, or known beforehand."""
    if root := inputs.roots.get(dataset):
        return len(load_category(dataset, root, category).test)
    if dataset == "factory":
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
