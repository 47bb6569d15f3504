"""A category's champion, and how a registered model's tags and alias tell it.

Whoever reaches MLflow writes rows there. One that can't be ours is left aside, a value that can't
be is left out, and either is told to the log once.
"""

import json
import logging
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from mlflow.entities.model_registry import ModelVersion, RegisteredModel

from finegrain.decision.thresholds import check_false_alarms
from finegrain.errors import CheckpointError

CHAMPION = "champion"  # the alias
DATASET, CATEGORY, HISTORY = "finegrain.dataset", "finegrain.category", "finegrain.champions"
FALSE_ALARMS = "finegrain.false_alarms"  # with .VERSION: what was asked of it after its fit
ASPECT = "finegrain.aspect"  # with .VERSION: of a narrow part's images, width over height
CHECKPOINT = "checkpoint"  # a run's artifact
log = logging.getLogger("ray.serve")


@dataclass(frozen=True)
class Champion:
    """A category's selected version, and the champions before it, oldest first.

    Args:
        false_alarms: of 100 good parts, that the version is to raise; None: as it was fitted.
        aspect: that its images are brought to, width over height; None: squashed.
    """

    dataset: str
    category: str
    version: str
    earlier: tuple[str, ...] = ()
    false_alarms: float | None = None
    aspect: float | None = None

    @property
    def key(self) -> str:
        """DATASET/CATEGORY."""
        return f"{self.dataset}/{self.category}"

    @property
    def model(self) -> str:
        """The registered model's name."""
        return model_name(self.dataset, self.category)


def model_name(dataset: str, category: str) -> str:
    """What a category's registered model is called; MLflow takes no colon."""
    return f"finegrain-{dataset}-{category}".replace(":", "%3A")


def champion_of(model: RegisteredModel) -> Champion | None:
    """What a registered model tells; None where it has no champion or is none of ours."""
    alias, tags = model.aliases.get(CHAMPION), model.tags
    if alias is None or DATASET not in tags:
        return None
    if CATEGORY not in tags:
        _tell(model.name, f"the model is left aside, as it has no tag {CATEGORY}")
        return None
    dataset, category = tags[DATASET], tags[CATEGORY]
    if model.name != (own := model_name(dataset, category)):
        _tell(model.name, f"the model is left aside, as that of {dataset}/{category} is {own}")
        return None
    version, history = str(alias), history_of(model.name, tags)
    # One that is not in it was made champion by hand, or its promotion was cut short.
    earlier = history[: history.index(version)] if version in history else history
    asked, aspect = _asked(model.name, tags, version), _aspect(model.name, tags, version)
    return Champion(dataset, category, version, earlier, asked, aspect)


def history_of(name: str, tags: Mapping[str, str]) -> tuple[str, ...]:
    """The champions in order, today's last; none where the tag holds no list of versions."""
    text = tags.get(HISTORY, "[]")
    try:
        listed = json.loads(text)
    except ValueError:
        listed = None
    if isinstance(listed, list) and all(isinstance(v, str) and v.isdecimal() for v in listed):
        return tuple(listed)
    _tell(name, f"its tag {HISTORY} is no list of versions: {text!r}; none before is known")
    return ()


def run_behind(stored: ModelVersion) -> str:
    """The run that a version's checkpoint comes from.

    Raises:
        CheckpointError: its source is anything else than the checkpoint of its own run.
    """
    run, source = str(stored.run_id), str(stored.source)
    if re.fullmatch("[0-9a-f]{32}", run) and source == checkpoint_uri(run):
        return run
    raise CheckpointError(
        f"version {stored.version} of {stored.name} has the source {source} and the run {run!r}; "
        "needed is runs:/RUN_ID/checkpoint of that run. Roll the part back, or withdraw it"
    )


def checkpoint_uri(run_id: str) -> str:
    """Where MLflow finds a run's checkpoint."""
    return f"runs:/{run_id}/{CHECKPOINT}"


def _asked(name: str, tags: Mapping[str, str], version: str) -> float | None:
    """The false alarms that were asked for; None where the tag holds no such number."""
    if not (text := tags.get(f"{FALSE_ALARMS}.{version}")):
        return None
    try:
        check_false_alarms(asked := float(text))
    except ValueError as error:  # InputErrors are too
        _tell(name, f"its tag {FALSE_ALARMS}.{version} is left out: {error}")
        return None
    return asked


def _aspect(name: str, tags: Mapping[str, str], version: str) -> float | None:
    """The shape of its images; None where the tag holds no positive number."""
    if not (text := tags.get(f"{ASPECT}.{version}")):
        return None
    try:
        aspect = float(text)
    except ValueError:
        aspect = math.nan
    if 0 < aspect < math.inf:
        return aspect
    _tell(name, f"its tag {ASPECT}.{version} is left out: {text!r} is no width over height")
    return None


@lru_cache(1000)
def _tell(name: str, message: str) -> None:
    """Once: rows are read every few seconds."""
    log.warning("registered model %s: %s", name, message)
