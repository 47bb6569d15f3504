"""Selected checkpoints in MLflow's registry: one model a category, its champion is what is served.

A model's tag remembers every champion in order, the last one too, so that a promotion can be taken
back, and an alias that was deleted in MLflow appointed again.
"""

import json
import shutil
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from mlflow.artifacts import download_artifacts
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from finegrain.backbones.pixels import Pixels
from finegrain.checkpoint import CONFIG, WEIGHTS, CheckpointConfig, read_config
from finegrain.detectors import Detector, detector_class
from finegrain.errors import CheckpointError, ConfigError
from finegrain.files import new_directory
from finegrain.tracking.audit import What, note
from finegrain.tracking.best import BestRun, best_by_category, category_key
from finegrain.tracking.champion import (
    ASPECT,
    CATEGORY,
    CHAMPION,
    CHECKPOINT,
    DATASET,
    FALSE_ALARMS,
    HISTORY,
    Champion,
    champion_of,
    checkpoint_uri,
    history_of,
    model_name,
    run_behind,
)
from finegrain.tracking.mlmodel import MLMODEL, write_mlmodel
from finegrain.tracking.runs import EXPERIMENT, open_client, trial_runs
from finegrain.tracking.signing import SIGNATURE, Signer, Statement, Trust, digest


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

    Each change is noted in the record of audit.py before it is made, with who makes it: `by`, or
    whose key or command it is where that is None.

    Args:
        uri: of the tracking server or database.

    Raises:
        ConfigError: a key of signing.py is named and can't be read.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._client = open_client(uri)
        self._signer, self._trust = Signer(), Trust()

    def champions(self) -> dict[str, Champion]:
        """All champions by DATASET/CATEGORY, in one question to the registry."""
        found: dict[str, Champion] = {}
        token: str | None = None
        while True:
            page = self._client.search_registered_models(max_results=1000, page_token=token)
            for model in page:
                if champion := champion_of(model):
                    found[champion.key] = champion
            token = page.token
            if not token:
                return found

    def champion(self, dataset: str, category: str) -> Champion | None:
        """The category's champion, None where it has none."""
        try:
            found = champion_of(self._client.get_registered_model(model_name(dataset, category)))
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        mine = found and (found.dataset, found.category) == (dataset, category)
        return found if mine else None  # a-b/c and a/b-c have one model's name

    def fetch(self, champion: Champion, version: str, folder: Path) -> Path:
        """The checkpoint of a version, downloaded below the folder unless it lies there.

        Raises:
            CheckpointError: it is none of its own run's, or not signed by whom we trust.
        """
        stored = self._client.get_model_version(champion.model, version)
        run = run_behind(stored)
        target = folder / sha256(f"{champion.model} {version} {run}".encode()).hexdigest()
        if not target.is_dir():
            try:
                with new_directory(target) as scratch:
                    self._download(run, scratch)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                raise CheckpointError(
                    f"version {version} of {champion.key} is not where {self._uri} says. Where the "
                    "store was moved, put its folder of artifacts beside its database again"
                ) from error
        if self._trust.demanded:
            statement = Statement(champion.model, version, run, digest(target))
            self._trust.check(statement, stored.tags.get(SIGNATURE))
        return target

    def _download(self, run_id: str, folder: Path) -> None:
        """The files of a run's checkpoint, and whatever else lies beside them is left there."""
        for name in (CONFIG, WEIGHTS):
            uri = f"{checkpoint_uri(run_id)}/{name}"
            with TemporaryDirectory() as scratch:  # MLflow makes folders in it
                found = download_artifacts(uri, dst_path=scratch, tracking_uri=self._uri)
                shutil.copyfile(found, folder / name)

    def promote(
        self,
        run_id: str,
        *,
        other_backbone: bool = False,
        by: str | None = None,
        what: Literal["promoted", "enrolled"] = "promoted",
    ) -> Champion:
        """Register a run's checkpoint and make it the champion of its category.

        Args:
            run_id: of a trial.
            other_backbone: whether it may be fitted on another backbone than the champion.
            by: who does it.
            what: is done, for the record.

        Raises:
            CheckpointError: the run has no whole checkpoint, one that no server can score with, or
                one for another backbone.
            ConfigError: what is served here has to be signed, and there is no key to sign with.
        """
        self._signer.check_trusted(self._trust)
        config, files = self._described(run_id)
        check_servable(config)
        before = self.champion(config.dataset, config.category)
        if before and not other_backbone:
            self._check_backbone(config, before)
        name = model_name(config.dataset, config.category)
        if before is None:
            self._open_model(name, config)
        self._make_model(run_id)
        made = self._client.create_model_version(name, source=checkpoint_uri(run_id), run_id=run_id)
        version = str(made.version)
        if signature := self._signer.sign(Statement(name, version, run_id, files)):
            self._client.set_model_version_tag(name, version, SIGNATURE, signature)
        if config.aspect:
            tag = f"{ASPECT}.{version}"
            self._client.set_registered_model_tag(name, tag, repr(config.aspect))
        if before:
            earlier = (*before.earlier, before.version)
        else:
            earlier = self._appointed(config.dataset, config.category)
        champion = Champion(config.dataset, config.category, version, earlier)
        self._note(champion, what, by, before.version if before else None, version)
        return self._appoint(champion)

    def rollback(self, dataset: str, category: str, *, by: str | None = None) -> Champion:
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
                before = now.version if now else None
                self._note(back, "rolled back", by, before, back.version)
                return self._appoint(back)
        gone = f"; its versions {listed} were deleted in MLflow, so promote a run" if listed else ""
        raise ConfigError(f"{dataset}/{category} has no earlier champion to go back to{gone}")

    def withdraw(self, dataset: str, category: str, *, by: str | None = None) -> Champion:
        """Let a category have no champion; its versions stay. ConfigError where it has none."""
        now = self.champion(dataset, category)
        if now is None:
            raise ConfigError(f"{dataset}/{category} has no champion to withdraw")
        self._note(now, "withdrawn", by, now.version, None)
        self._client.delete_registered_model_alias(now.model, CHAMPION)
        self._client.set_registered_model_tag(now.model, HISTORY, "[]")  # not lost, but given up
        return now

    def ask(self, champion: Champion, false_alarms: float, *, by: str | None = None) -> Champion:
        """Let a champion raise so many false alarms among 100 good parts; stays with its version.

        The caller has to know that its thresholds can do that.
        """
        tag = f"{FALSE_ALARMS}.{champion.version}"
        asked = champion.false_alarms
        before = None if asked is None else f"{asked:g}"  # None: as it was fitted
        self._note(champion, "false alarms", by, before, f"{false_alarms:g}")
        self._client.set_registered_model_tag(champion.model, tag, f"{false_alarms:g}")
        return replace(champion, false_alarms=false_alarms)

    def run_of(self, champion: Champion) -> str:
        """The run that a champion's checkpoint comes from."""
        return run_behind(self._client.get_model_version(champion.model, champion.version))

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

    def _note(
        self, champion: Champion, what: What, by: str | None, before: str | None, after: str | None
    ) -> None:
        note(self._client, champion.key, what, by or self._signer.who(), before, after)

    def _described(self, run_id: str) -> tuple[CheckpointConfig, str]:
        """What the run's checkpoint says of itself, and the digest of its files."""
        with TemporaryDirectory() as scratch:
            folder = Path(scratch)
            try:
                self._download(run_id, folder)
            except (MlflowException, OSError) as error:
                message = f"run {run_id} has no checkpoint to promote: {error}"
                raise CheckpointError(message) from error
            return read_config(folder), digest(folder)

    def _check_backbone(self, config: CheckpointConfig, before: Champion) -> None:
        serving, _ = self._described(self.run_of(before))
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
        name = model_name(dataset, category)
        try:
            tags = self._client.get_registered_model(name).tags
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return ()
        mine = (tags.get(DATASET), tags.get(CATEGORY)) == (dataset, category)
        return history_of(name, tags) if mine else ()

    def _has(self, champion: Champion) -> bool:
        """Whether the version is still there."""
        try:
            self._client.get_model_version(champion.model, champion.version)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return False
        return True
