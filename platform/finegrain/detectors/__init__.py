"""Detectors, a file each, behind one interface.

detector.py   Detector: fit(shots), score(tokens) -> Prediction; their options
features.py   which tokens are compared   maps.py   patch scores to anomaly maps
augmented.py  views of the shots beside them   foreground.py  where the object is
finegrained.py  FineGrainedAD (finegrain/method): prompts from a caption, and a memory
promptad.py     prompts from an object's name (promptad_prompts.py), and a memory
text.py         what the detectors that read text ask of their backbone
patchcore.py  nearest remembered patch      padim.py  a Gaussian a position
spade.py      nearest shots, then patches   chance.py random scores, the floor
subspacead.py what a subspace leaves over   anomalydino.py  nearest patch of turned shots
winclip.py    windows against the prompts of prompt_ensemble.py, and against the shots' windows
anomalib/     any image model of anomalib (an extra)
"""

from collections.abc import Mapping
from typing import Any

from finegrain.backbones import Backbone
from finegrain.detectors.anomalib import AnomalibModel
from finegrain.detectors.anomalydino import AnomalyDino
from finegrain.detectors.chance import Chance
from finegrain.detectors.detector import Detector, Prediction
from finegrain.detectors.finegrained import FineGrained
from finegrain.detectors.padim import PaDiM
from finegrain.detectors.patchcore import PatchCore
from finegrain.detectors.promptad import PromptAD
from finegrain.detectors.spade import Spade
from finegrain.detectors.subspacead import SubspaceAD
from finegrain.detectors.winclip import WinClip
from finegrain.errors import ConfigError

__all__ = ["DETECTORS", "Detector", "Prediction", "make_detector"]

DETECTORS: dict[str, type[Detector]] = {
    kind.name: kind
    for kind in (
        *(FineGrained, PromptAD, WinClip),
        *(PatchCore, PaDiM, Spade, SubspaceAD, AnomalyDino),
    )
}
ON_REQUEST: dict[str, type[Detector]] = {  # not among "all methods"
    kind.name: kind for kind in (Chance, AnomalibModel)
}


def make_detector(
    method: str, backbone: Backbone, options: Mapping[str, Any] | None = None, *, seed: int = 111
) -> Detector:
    """The unfitted detector of a method, NAME or NAME:VARIANT; ConfigError lists the known ones."""
    return detector_class(method)(backbone, method_options(method, options or {}), seed=seed)


def method_options(method: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options, over those that the VARIANT of NAME:VARIANT stands for by itself.

    Of a group of options only those that are given change.
    """
    chosen = detector_class(method).variant_options(method.partition(":")[2])
    for option, value in options.items():
        groups = isinstance(value, Mapping) and isinstance(chosen.get(option), Mapping)
        chosen[option] = {**chosen[option], **value} if groups else value
    return chosen


def detector_class(method: str) -> type[Detector]:
    """The class of that method; ConfigError lists the known ones.

    NAME:VARIANT is the same class: a variant is a label for other options.
    """
    name = method.partition(":")[0]
    known = DETECTORS | ON_REQUEST
    if name not in known:
        raise ConfigError(f"no method {name!r}; known: {', '.join(sorted(known))}")
    return known[name]
