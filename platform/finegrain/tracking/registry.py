"""Selected checkpoints in MLflow's registry: one model a category, its champion is what is served.

A model's tag remembers every champion in order, the last one too, so that a promotion can be taken
back, and an alias that was deleted in MLflow appointed again.
"""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow.artifacts import download_artifacts
from mlflow.entities import Run
from mlflow.entities.model_registry import RegisteredModel
from mlflow.exceptions import MlflowException

from finegrain.backbones.pixels import Pixels
from finegrain.checkpoint import CheckpointConfig, read_config
from finegrain.detectors import Detector, detector_class
from finegrain.errors import CheckpointError, ConfigError
from finegrain.files import new_directory
from finegrain.tracking.best import BestRun, best_by_category, category_key
from finegrain.tracking.mlmodel import MLMODEL, write_mlmodel
from finegrain.tracking.runs import EXPERIMENT, open_client, trial_runs

CHAMPION = "champion"
DATASET, CATEGORY, HISTORY = "finegrain.dataset", "finegrain.category", "finegrain.champions"
FALSE_ALARMS = "finegrain.false_alarms"  # with .VERSION: what was asked of it after its fit
ASPECT = "finegrain.aspect"  # with .VERSION: of a narrow part's images, width over height
CHECKPOINT = "checkpoint"  # a run's artifact


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


def check_servable(config: CheckpointConfig) -> None:
    """CheckpointError where no server could score with the checkpoint, whatever its settings."""
    if detector_class(config.detector).windows is not Detector.windows:
        raise CheckpointError(
            f"{config.detector} needs windows of the image, which a server does not encode; "
            "promote a checkpoint of another method"
        )
    if Pixels.side_of(config.backbone) is not None:
        raise CheckpointError(
            f"{config.detector} looks at the image itself ({config.backbone}), which a server does "
            "not send; promote a checkpoint of another method"
        )


class Registry:
    """Champions: read by the server, moved by whoever promotes. MlflowException goes up.

    Args:
        uri: of the tracking server or database.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._client = open_client(uri)

    def champions(self) -> dict[str, Champion]:
        """All champions by DATASET/CATEGORY, in one question to the registry."""
        found: dict[str, Champion] = {}
        token: str | None = None
        while True:
            page = self._client.search_registered_models(max_results=1000, page_token=token)
            for model in page:
                if champion := _champion(model):
                    found[champion.key] = champion
            token = page.token
            if not token:
                return found

    def champion(self, dataset: str, category: str) -> Champion | None:
        """The category's champion, None where it has none."""
        try:
            found = _champion(self._client.get_registered_model(model_name(dataset, category)))
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        mine = found and (found.dataset, found.category) == (dataset, category)
        return found if mine else None  # a-b/c and a/b-c have one model's name

    def fetch(self, champion: Champion, version: str, folder: Path) -> Path:
        """The checkpoint of a version, downloaded below the folder unless it lies there."""
        stored = self._client.get_model_version(champion.model, version)
        target = folder / f"{champion.model}-{version}-{stored.run_id}"
        if not target.is_dir():
            uri = self._client.get_model_version_download_uri(champion.model, version)
            try:
                with new_directory(target) as scratch:
                    self._download(uri, scratch)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                raise CheckpointError(
                    f"version {version} of {champion.key} is not where {self._uri} says. Where the "
                    "store was moved, put its folder of artifacts beside its database again"
                ) from error
        return target

    def _download(self, uri: str, folder: Path) -> None:
        """The files of an artifact folder, without that folder's own name."""
        with TemporaryDirectory() as scratch:
            found = download_artifacts(uri, dst_path=scratch, tracking_uri=self._uri)
            shutil.copytree(found, folder, dirs_exist_ok=True)

    def promote(self, run_id: str, *, other_backbone: bool = False) -> Champion:
        """Register a run's checkpoint and make it the champion of its category.

        Args:
            run_id: of a trial.
            other_backbone: whether it may be fitted on another backbone than the champion.

        Raises:
            CheckpointError: the run has no whole checkpoint, one that no server can score with, or
                one for another backbone.
        """
        config = self._config(run_id)
        check_servable(config)
        before = self.champion(config.dataset, config.category)
        if before and not other_backbone:
            self._check_backbone(config, before)
        name = model_name(config.dataset, config.category)
        if before is None:
            self._open_model(name, config)
        self._make_model(run_id)
        source = f"runs:/{run_id}/{CHECKPOINT}"
        made = self._client.create_model_version(name, source=source, run_id=run_id)
        if config.aspect:
            tag = f"{ASPECT}.{made.version}"
            self._client.set_registered_model_tag(name, tag, repr(config.aspect))
        if before:
            earlier = (*before.earlier, before.version)
        else:
            earlier = self._appointed(config.dataset, config.category)
        return self._appoint(Champion(config.dataset, config.category, str(made.version), earlier))

    def rollback(self, dataset: str, category: str) -> Champion:
        """Take the last promotion back.

        Where the alias was deleted in MLflow, the last champion is appointed again; versions that
        were deleted there are passed over.

        Raises:
            ConfigError: there is none to go back to.
        """
        now = self.champion(dataset, category)
        earlier = list(now.earlier if now else self._appointed(dataset, category))
        listed = ", ".join(earlier)
        while earlier:
            back = Champion(dataset, category, earlier.pop(), tuple(earlier))
            if self._has(back):
                return self._appoint(back)
        gone = f"; its versions {listed} were deleted in MLflow, so promote a run" if listed else ""
        raise ConfigError(f"{dataset}/{category} has no earlier champion to go back to{gone}")

    def withdraw(self, dataset: str, category: str) -> Champion:
        """Let a category have no champion; its versions stay. ConfigError where it has none."""
        now = self.champion(dataset, category)
        if now is None:
            raise ConfigError(f"{dataset}/{category} has no champion to withdraw")
        self._client.delete_registered_model_alias(now.model, CHAMPION)
        self._client.set_registered_model_tag(now.model, HISTORY, "[]")  # not lost, but given up
        return now

    def ask(self, champion: Champion, false_alarms: float) -> Champion:
        """Let a champion raise so many false alarms among 100 good parts; stays with its version.

        The caller has to know that its thresholds can do that.
        """
        tag = f"{FALSE_ALARMS}.{champion.version}"
        self._client.set_registered_model_tag(champion.model, tag, f"{false_alarms:g}")
        return replace(champion, false_alarms=false_alarms)

    def run_of(self, champion: Champion) -> str:
        """The run that a champion's checkpoint comes from."""
        return str(self._client.get_model_version(champion.model, champion.version).run_id)

    def benchmark_runs(
        self, name: str, *, method: str | None, shots: int | None, seed: int | None
    ) -> dict[str, str]:
        """The finished trials of a benchmark, one a category: DATASET/CATEGORY -> run id.

        Raises:
            ConfigError: no such benchmark, or several trials of a category; choose among them.
        """
        chosen: dict[str, str] = {}
        for run in self._finished(name, method=method, shots=shots, seed=seed):
            key = category_key(run)
            if key in chosen:
                raise ConfigError(
                    f"{name} has several trials of {key}; choose by --method, --shots and --seed, "
                    "or the best by --metric"
                )
            chosen[key] = run.info.run_id
        return chosen

    def best_runs(
        self, name: str, metric: str, *, method: str | None, shots: int | None, seed: int | None
    ) -> dict[str, BestRun]:
        """For each DATASET/CATEGORY of a benchmark its best method and number of shots.

        See best.py for how it is chosen, and which of its runs stands for it.

        Raises:
            ConfigError: no such benchmark or metric, or a category where no trial has it.
        """
        runs = self._finished(name, method=method, shots=shots, seed=seed)
        return best_by_category(runs, metric)

    def _finished(
        self, name: str, *, method: str | None, shots: int | None, seed: int | None
    ) -> list[Run]:
        """The finished trials of that benchmark as wanted; ConfigError if there is none."""
        given = {"method": method, "shots": shots, "seed": seed}
        wanted = {param: str(value) for param, value in given.items() if value is not None}
        runs = [
            run
            for run in trial_runs(self._client, name)
            if all(run.data.params.get(param) == value for param, value in wanted.items())
        ]
        if not runs:
            raise ConfigError(f"experiment {EXPERIMENT} has no finished trial like that of {name}")
        return runs

    def _make_model(self, run_id: str) -> None:
        """Let the run's checkpoint be a model that MLflow itself can load."""
        listed = self._client.list_artifacts(run_id, CHECKPOINT)
        if any(Path(entry.path).name == MLMODEL for entry in listed):
            return
        with TemporaryDirectory() as scratch:
            write_mlmodel(Path(scratch) / CHECKPOINT)
            self._client.log_artifacts(run_id, str(Path(scratch) / CHECKPOINT), CHECKPOINT)

    def _config(self, run_id: str) -> CheckpointConfig:
        """What the run's checkpoint says of itself."""
        with TemporaryDirectory() as scratch:
            folder = Path(scratch)
            try:
                self._download(f"runs:/{run_id}/{CHECKPOINT}", folder)
            except (MlflowException, OSError) as error:
                message = f"run {run_id} has no checkpoint to promote: {error}"
                raise CheckpointError(message) from error
            return read_config(folder)

    def _check_backbone(self, config: CheckpointConfig, before: Champion) -> None:
        run_id = self._client.get_model_version(before.model, before.version).run_id
        serving = self._config(str(run_id))
        if serving.backbone_sha256 != config.backbone_sha256:
            raise CheckpointError(
                f"the new checkpoint of {before.key} was fitted on backbone {config.backbone} "
                f"({config.backbone_sha256[:12]}), its champion on {serving.backbone} "
                f"({serving.backbone_sha256[:12]}); a server runs one backbone. "
                "Fit again on that one, or insist with --other-backbone"
            )

    def _open_model(self, name: str, config: CheckpointConfig) -> None:
        tags = {DATASET: config.dataset, CATEGORY: config.category}
        text = (
            f"Finds defects on the part **{config.category}** of `{config.dataset}`. The version "
            f"with the alias `{CHAMPION}` is served. In Python: "
            f"`mlflow.pyfunc.load_model('models:/{name}@{CHAMPION}')`"
        )
        try:
            self._client.create_registered_model(name, tags=tags, description=text)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            self._check_same_part(name, tags)

    def _check_same_part(self, name: str, tags: dict[str, str]) -> None:
        """ConfigError where the model is of another part, as of a-b/c and a/b-c."""
        there = self._client.get_registered_model(name).tags
        if other := {tag: there.get(tag) for tag, value in tags.items() if there.get(tag) != value}:
            raise ConfigError(
                f"the registered model {name} is of another part ({other}); choose another name"
            )

    def _appoint(self, champion: Champion) -> Champion:
        self._client.set_registered_model_alias(champion.model, CHAMPION, champion.version)
        history = json.dumps([*champion.earlier, champion.version])  # what is so, not what will be
        self._client.set_registered_model_tag(champion.model, HISTORY, history)
        return champion

    def _appointed(self, dataset: str, category: str) -> tuple[str, ...]:
        """The champions that were, oldest first, of a category whose alias was deleted."""
        try:
            tags = self._client.get_registered_model(model_name(dataset, category)).tags
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return ()
        mine = (tags.get(DATASET), tags.get(CATEGORY)) == (dataset, category)
        return tuple(json.loads(tags.get(HISTORY, "[]"))) if mine else ()

    def _has(self, champion: Champion) -> bool:
        """Whether the version is still there."""
        try:
            self._client.get_model_version(champion.model, champion.version)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return False
        return True


def _champion(model: RegisteredModel) -> Champion | None:
    alias, tags = model.aliases.get(CHAMPION), model.tags
    if alias is None or DATASET not in tags:
        return None
    version = str(alias)
    history = tuple(json.loads(tags.get(HISTORY, "[]")))
    # One that is not in it was made champion by hand, or its promotion was cut short.
    earlier = history[: history.index(version)] if version in history else history
    asked = tags.get(f"{FALSE_ALARMS}.{version}")
    false_alarms = float(asked) if asked else None
    aspect = float(tags[f"{ASPECT}.{version}"]) if f"{ASPECT}.{version}" in tags else None
    return Champion(tags[DATASET], tags[CATEGORY], version, earlier, false_alarms, aspect)
