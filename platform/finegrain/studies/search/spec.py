"""What is searched, and what came of each setting; both as they stand on disk."""

import hashlib
import json
import runpy
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, cast

from pydantic import BaseModel, ValidationError

from finegrain.benchmark.methods import with_options
from finegrain.benchmark.plan import Benchmark, Trial
from finegrain.detectors import detector_class, method_options
from finegrain.errors import ConfigError
from finegrain.evaluation.metrics import Scores
from finegrain.method.config import TrainingConfig
from finegrain.studies.search.choice import SearchChoice

Options = Mapping[str, Any]  # dotted option -> value
OWN = Path(__file__).resolve().with_name("spaces.py")
SEARCH, SAMPLES = "search.json", "samples"
REDUCTION = 3  # ASHA keeps the best third at each rung
RUNGS = 3


class Search(SearchChoice):
    """A search, as it stands in search.json.

    Args:
        benchmark: of one method, one number of shots and one seed, which draws the shots.
        space: where the space is: FILE.py:FUNCTION.
        domains: its options and ranges as Tune writes them, so that a changed space is noticed.
    """

    benchmark: Benchmark
    space: str
    domains: dict[str, str]

    @property
    def method(self) -> str:
        """The one that is searched."""
        return self.benchmark.methods[0]

    @property
    def epochs(self) -> int:
        """How many epochs a setting learns that is not stopped; 1 for what does not learn."""
        kind = detector_class(self.method)
        options = method_options(self.method, self.benchmark.options.get(self.method, {}))
        training = getattr(kind.Config.from_options(options), "training", None)
        return training.epochs if isinstance(training, TrainingConfig) else 1

    @property
    def rungs(self) -> tuple[int, ...]:
        """The epochs at which a setting is scored, and may be stopped."""
        if self.scheduler == "none" or self.epochs < REDUCTION:
            return (self.epochs,)
        first = -(-self.epochs // REDUCTION ** (RUNGS - 1))
        steps = [first * REDUCTION**i for i in range(RUNGS)]
        return (*(step for step in steps if step < self.epochs), self.epochs)

    @property
    def measures_test(self) -> bool:
        """Whether the test images are looked at, for whatever purpose."""
        return self.study or self.objective == "test"


class Step(BaseModel):
    """What was measured after some epochs."""

    epoch: int
    seconds: float  # since the setting began, on its worker
    validation: dict[str, Scores]  # category -> scores
    test: dict[str, Scores] = {}

    def mean(self, metric: str, objective: Literal["validation", "test"]) -> float:
        """Over the categories; ConfigError where the metric is undefined on one."""
        scores = {"validation": self.validation, "test": self.test}[objective]
        values = {category: getattr(found, metric) for category, found in scores.items()}
        if undefined := [name for name, value in values.items() if value is None]:
            raise ConfigError(f"{metric} is undefined on {objective} of {', '.join(undefined)}")
        return fmean(values.values())


class Setting(BaseModel):
    """A setting and what came of it, as it stands in samples/KEY.json."""

    options: dict[str, Any]
    status: Literal["running", "ok", "stopped", "failed"] = "running"
    steps: tuple[Step, ...] = ()
    error: str | None = None

    @property
    def key(self) -> str:
        """Short name of the setting."""
        return setting_key(self.options)

    def value(self, search: Search) -> float | None:
        """What the search makes high, at the last step; None where there is none."""
        return self.steps[-1].mean(search.metric, search.objective) if self.steps else None


def with_setting(trial: Trial, setting: Options) -> Trial:
    """The trial with these options beside its own."""
    return trial.model_copy(update={"options": with_options(trial.options, setting)})


def setting_key(options: Options) -> str:
    """Ten characters that name a setting."""
    text = json.dumps(dict(options), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def load_space(place: str) -> dict[str, Any]:
    """The domains of FILE.py:FUNCTION; ConfigError says what the file has instead."""
    file, colon, name = place.rpartition(":")
    if not (colon and Path(file).is_file()):
        raise ConfigError(f"a space is FILE.py:FUNCTION; there is no {file or name}")
    found = runpy.run_path(file)
    functions = [k for k, v in found.items() if callable(v) and not k.startswith("_")]
    if name not in functions:
        raise ConfigError(f"{file} has no space {name!r}; it has {', '.join(functions)}")
    return cast("Callable[[], dict[str, Any]]", found[name])()


def described(space: Mapping[str, Any]) -> dict[str, str]:
    """Option -> its domain in words."""
    return {name: getattr(domain, "domain_str", str(domain)) for name, domain in space.items()}


def read_search(directory: Path, space: str | None = None) -> Search:
    """The search of a directory.

    Args:
        directory: of the search.
        space: FILE.py:FUNCTION that may be run. One that search.json names is run when it is read
            for its domains, and whoever wrote that file may be anyone; ours may always.

    Raises:
        ConfigError: there is none, its space has changed, or is another than that.
    """
    try:
        search = Search.model_validate_json((directory / SEARCH).read_bytes())
    except FileNotFoundError as error:
        raise ConfigError(f"{directory} holds no {SEARCH}: nothing to resume") from error
    except ValidationError as error:
        raise ConfigError(f"{directory / SEARCH} is damaged: {error}") from error
    file = search.space.rpartition(":")[0]
    if Path(file).resolve() != OWN and search.space != space:
        raise ConfigError(
            f"{directory / SEARCH} names the space {search.space}, whose file would be run; where "
            f"you trust it, say so: --resume {directory.name} --space {search.space}"
        )
    if described(load_space(search.space)) != search.domains:
        raise ConfigError(f"{search.space} has changed since {directory} was begun; begin another")
    return search


def read_settings(directory: Path) -> dict[str, Setting]:
    """Key -> what is on disk of each setting, in the order of the keys."""
    settings = {}
    for path in sorted((directory / SAMPLES).glob("*.json")):
        setting = Setting.model_validate_json(path.read_bytes())
        settings[setting.key] = setting
    return settings
