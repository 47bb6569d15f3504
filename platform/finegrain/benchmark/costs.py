"""What a trial costs: seconds measured in other trials, or a default for its method."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from pydantic import ValidationError

from finegrain.backbones.clip.openclip_models import QUICK
from finegrain.benchmark.plan import TrialResult

CORE = "one CPU core"
# Measured beforehand for the ViT-B-16-plus-240 in CPU time of one thread of a shared machine:
# float32, random weights, 4 shots of the factory's gear; a fit is extrapolated to 100 epochs.
FIT_SECONDS, SCORE_MS, ENCODE_MS = 640.0, 21.0, 796.0
REFERENCE = "ViT-B-16-plus-240"
# Encoding is scaled by the work of the image tower, about 2 × parameters × tokens, in GFLOP.
GFLOP = {
    **dict.fromkeys(("bundled", "efficientnet_lite1"), 3.0),  # by their measured 47 ms
    "resnet18": 3.6,
    "wide_resnet50_2": 23.0,
    "ViT-B-32": 8.6,
    "ViT-B-16": 34.0,
    "ViT-B-16-plus": 46.0,
    REFERENCE: 53.0,
    "ViT-L-14": 156.0,
    "ViT-L-14-336": 351.0,
    "ViT-H-14": 325.0,
}
LEARNED = ("finegrained", "promptad")  # the others' fits are short beside encoding


class Cost(NamedTuple):
    """Seconds of one fit, milliseconds an image, and the device that they were measured on."""

    fit_seconds: float
    score_ms: float
    encode_ms: float
    device: str


def is_timed(result: TrialResult) -> bool:
    """Whether it has all its timings."""
    return None not in (result.fit_seconds, result.score_ms, result.encode_ms)


def read_timed(path: Path) -> TrialResult | None:
    """A result with all its timings, of whatever version; None where it has none."""
    try:
        result = TrialResult.model_validate_json(path.read_bytes())
    except ValidationError:
        return None
    return result if is_timed(result) else None


def mean_costs(results: Iterable[TrialResult]) -> dict[tuple[str, str], Cost]:
    """(method, backbone) -> means over results that have all timings.

    A variant counts to its own name and to its method's.
    """
    found: dict[tuple[str, str], list[TrialResult]] = defaultdict(list)
    for result in results:
        method = result.trial.method
        for name in {method, method.partition(":")[0]}:
            found[name, result.trial.backbone].append(result)
    return {key: _mean(group) for key, group in found.items()}


def _mean(results: Sequence[TrialResult]) -> Cost:
    def mean(name: str) -> float:
        return fmean(float(getattr(result, name)) for result in results)

    devices = Counter(result.environment.get("device", "unknown") for result in results)
    device = devices.most_common(1)[0][0]
    return Cost(mean("fit_seconds"), mean("score_ms"), mean("encode_ms"), device)


def cost_of(method: str, backbone: str, recorded: Mapping[tuple[str, str], Cost]) -> Cost:
    """Recorded, or the default; an unknown backbone costs what the ViT-B-16-plus-240 does."""
    name = method.partition(":")[0]
    if found := recorded.get((method, backbone)) or recorded.get((name, backbone)):
        return found
    work = GFLOP.get(backbone.removesuffix(QUICK), GFLOP[REFERENCE]) / GFLOP[REFERENCE]
    fit = FIT_SECONDS if name in LEARNED else 1.0
    return Cost(fit, SCORE_MS, ENCODE_MS * work, f"{CORE} (default)")
