"""Controls of what the paper claims: where a claim holds, its control does worse.

captions   the category's own words against another's, contrary ones, one for all parts, and none
regions    the regions found against the same ones scattered over the shot
matching   tokens matched by q and by n̄ against a unit drawn by lot

Each is measured fused, and as PAD alone (the prompts' map without the memory), beside VAD alone.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch

from finegrain.backbones import FrozenClip, RgbImage
from finegrain.captions import Caption, Provenance, caption_from_facts
from finegrain.data import Category
from finegrain.data.images import read_rgb
from finegrain.data.shots import select_shots
from finegrain.detectors.finegrained import FineGrained
from finegrain.errors import ConfigError
from finegrain.evaluation.compare import Comparison, Expense, Measurement, compare
from finegrain.evaluation.evaluate import TestSet, evaluate, load_test_set, score_all
from finegrain.method.regions import Regions
from finegrain.method.units import contrary_values
from finegrain.tables import Row, markdown

Claim = Literal["captions", "regions", "matching"]
CLAIMS: tuple[Claim, ...] = ("captions", "regions", "matching")
METRICS = ("image_auroc", "pixel_auroc", "aupro_30")
Variants = Mapping[str, FineGrained]  # fitted
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Controls:
    """All results of one claim, as "VARIANT fused" and "VARIANT PAD", and "VAD"."""

    claim: Claim
    measured: tuple[Measurement, ...]

    def against(self, reference: str) -> list[Comparison]:
        """Every other variant against that one, paired over categories and seeds."""
        return compare(self.measured, reference, metrics=METRICS)

    def table(self, reference: str) -> str:
        """Means in percent, and the reference's lead with its interval of 95 percent."""
        rows = []
        for one in self.against(reference):
            lead = ""
            if one.difference is not None and one.method != reference:
                found = one.interval
                lead = f"{-one.difference:+.1f}"
                lead += f" [{-found.high:.1f}, {-found.low:.1f}]" if found else ""
            mean = "–" if one.mean is None else f"{one.mean:.1f}"
            rows.append([one.method, one.metric, mean, lead])
        return markdown(["variant", "metric", "mean", f"lead of {reference}"], rows)


def run_controls(
    claim: Claim,
    clip: FrozenClip,
    categories: Sequence[Category],
    captions: Mapping[str, Caption],
    *,
    shots: int,
    seeds: Sequence[int],
    options: Mapping[str, Any] | None = None,
    tell: Tell = lambda _: None,
) -> Controls:
    """Fit and score every variant of a claim on every category and seed.

    Args:
        claim: one of CLAIMS.
        clip: the backbone.
        categories: at least two where captions are swapped.
        captions: of each category, by its name.
        shots: K.
        seeds: of the draw of shots and of the fit.
        options: of the method, without the caption.
        tell: hears of each category and seed when it is done.
    """
    if claim not in CLAIMS:
        raise ConfigError(f"no control of {claim!r}; known: {', '.join(CLAIMS)}")
    measured = []
    for place, category in enumerate(categories):
        test = load_test_set(category, clip)
        other = captions[categories[(place + 1) % len(categories)].name]
        for seed in seeds:
            images = [read_rgb(path) for path in select_shots(category, shots, seed)]
            fitted = variants(
                claim, clip, captions[category.name], other, images, seed, options or {}
            )
            for name, scores in _scored(fitted, test):
                row = Row(category.name, name, shots, seed, scores)
                measured.append(Measurement(row, Expense()))
            tell(f"{category.name}, seed {seed}")
    return Controls(claim, tuple(measured))


def variants(
    claim: Claim,
    clip: FrozenClip,
    own: Caption,
    other: Caption,
    images: Sequence[RgbImage],
    seed: int,
    options: Mapping[str, Any],
) -> Variants:
    """The fitted detectors of a claim, by name; the first is the one that it is about."""

    def fitted(caption: Caption, rearranged: Callable[[Regions], Regions] | None = None) -> Any:
        detector = FineGrained(clip, {**options, "caption": caption}, seed=seed)
        detector.rearranged = rearranged
        return detector.fit(images)

    match claim:
        case "captions":
            told = {
                "own": own,
                "swapped": other.model_copy(update={"dataset": own.dataset}),
                "contrary": contrary(own, seed),
                "generic": GENERIC,
                "empty": EMPTY,
            }
            return {name: fitted(caption) for name, caption in told.items()}
        case "regions":
            return {"found": fitted(own), "scattered": fitted(own, _scattering(seed))}
        case _:
            by_query = fitted(own)
            return {
                "query": _scoring(by_query, matching="query"),
                "prompt": _scoring(by_query, matching="prompt"),
                "by lot": _scoring(_by_lot(by_query, seed), matching="query"),
            }


def contrary(caption: Caption, seed: int) -> Caption:
    """The same components, every attribute another that contradicts it."""
    rng = np.random.default_rng(seed)
    components = []
    for component in caption.components:
        values = {
            name: str(rng.choice(contrary_values(name, value)))
            for name, value in component.told.items()
        }
        listed = {
            name: [values[name]] if name in values else [] for name in ("color", "texture", "shape")
        }
        plain = {name: values.get(name) for name in ("number", "location", "direction")}
        components.append({"name": component.name, **plain, **listed})
    facts = {**caption.model_dump(include={"foreground", "background", "defects"})}
    made_by = Provenance(source="template")
    return caption_from_facts(
        caption.dataset, caption.category, {**facts, "components": components}, made_by
    )


def _one_part(name: str, background: str | None, defects: Sequence[str]) -> Caption:
    """One sentence for every part: a single grey one at the center."""
    component = {"name": name, "number": "1", "location": "center", "direction": None,
                 "color": ["grey"], "texture": ["smooth"], "shape": ["irregular"]}  # fmt: skip
    facts = {"foreground": name, "background": background, "components": [component],
             "defects": defects}  # fmt: skip
    return caption_from_facts("folder", name, facts, Provenance(source="template"))


def _empty() -> Caption:
    """No attribute at all, which no closed list has: "object", and "object with defect"."""
    full = _one_part("object", None, ["defect"])
    (component,) = full.components
    said = {"summary": "object", "logical_relation": "object"}
    silent = component.model_copy(update={"caption": "object"})
    return full.model_copy(update={**said, "components": (silent,)})


GENERIC = _one_part("part", "grey", ["scratch", "crack", "hole", "stain", "damage"])
EMPTY = _empty()


def _scattering(seed: int) -> Callable[[Regions], Regions]:
    """Each shot's tokens change places, so that regions keep their sizes and lose their meaning."""

    def scattered(regions: Regions) -> Regions:
        generator = torch.Generator().manual_seed(seed)
        places = torch.randperm(regions.own.shape[-1], generator=generator)
        return replace(regions, own=regions.own[..., places], weights=regions.weights[..., places])

    return scattered


def _by_lot(detector: FineGrained, seed: int) -> FineGrained:
    """The queries of the units that tokens are matched with, dealt anew."""
    other = copy.copy(detector)
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(detector.features.queries.shape, generator=generator)
    drawn = torch.nn.functional.normalize(drawn, dim=-1).to(detector.features.queries)
    other.features = replace(detector.features, queries=drawn)
    return other


def _scoring(detector: FineGrained, **changes: Any) -> FineGrained:
    """The same fit, scored in another way."""
    other = copy.copy(detector)
    scoring = replace(detector.config.scoring, **changes)
    other.config = replace(detector.config, scoring=scoring)
    return other


def _scored(fitted: Variants, test: TestSet) -> Iterator[tuple[str, dict[str, float | None]]]:
    """Each variant fused and as PAD alone, and once VAD alone, in percent."""
    every = {f"{name} fused": detector for name, detector in fitted.items()}
    for name, detector in fitted.items():
        every[f"{name} PAD"] = _scoring(detector, fusion="prompt")
    every["VAD"] = _scoring(next(iter(fitted.values())), fusion="visual")
    for name, detector in every.items():
        scores = evaluate(score_all(detector, test.tokens), test)
        found = {metric: getattr(scores, metric) for metric in METRICS}
        yield name, {k: None if v is None else 100 * v for k, v in found.items()}
