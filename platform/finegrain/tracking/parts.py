"""Parts that were enrolled at a server: their photos beside what was fitted on them, and feedback.

A fit is a run of its own with the artifacts checkpoint/ and photos/. What operators say of a part
lies in one run, which the registered model's tag names: feedback/ID.json and its image.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from mlflow.artifacts import download_artifacts
from mlflow.entities import Param, RunTag
from mlflow.exceptions import MlflowException
from pydantic import BaseModel, ConfigDict

from finegrain.files import write_bytes, write_text
from finegrain.tracking.champion import Champion
from finegrain.tracking.runs import open_client, open_experiment

PHOTOS, FEEDBACK = "photos", "feedback"  # artifacts
FEEDBACK_RUN = "finegrain.feedback"  # tag of a registered model


class Feedback(BaseModel):
    """What an operator says of an image.

    Args:
        kind: the part is good though it was rejected, or has a defect that was missed.
        image: name of its file.
        box: left, top, right, bottom of the defect in pixels; the last two are just outside.
        score: what the version that is named gave it.
        who: by which right it was sent.
        when: ISO 8601, UTC.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["good", "missed"]
    image: str
    sha256: str
    box: tuple[int, int, int, int] | None = None
    version: str
    score: float | None = None
    threshold: float | None = None
    who: str
    when: str


class PartRuns:
    """Reads and writes them. MlflowException goes up.

    Args:
        uri: of the tracking server or database.
    """

    def __init__(self, uri: str) -> None:
        self._uri, self._client = uri, open_client(uri)

    def record(
        self, name: str, folder: Path, params: Mapping[str, object], tags: Mapping[str, str]
    ) -> str:
        """A finished run with all that lies in the folder; its id. If that fails, there is none."""
        run = self._create(name)
        try:
            self._client.log_batch(
                run,
                params=[Param(param, str(value)) for param, value in params.items()],
                tags=[RunTag(tag, value) for tag, value in tags.items()],
            )
            self._client.log_artifacts(run, str(folder))
            self._client.set_terminated(run)
        except BaseException:
            self._client.delete_run(run)
            raise
        return run

    def photos(self, run_id: str, folder: Path) -> list[Path]:
        """The photos of a run's fit, copied to the folder; none where they were not kept."""
        return self._copied(run_id, PHOTOS, folder)

    def add_feedback(self, champion: Champion, said: Feedback, image: bytes) -> str:
        """Keep it; the id of the run that has all of the part."""
        run = self._feedback_run(champion) or self._open_feedback(champion)
        with TemporaryDirectory() as scratch:
            write_bytes(Path(scratch) / said.image, image)
            record = Path(said.image).with_suffix(".json").name
            write_text(Path(scratch) / record, said.model_dump_json(indent=1) + "\n")
            self._client.log_artifacts(run, scratch, FEEDBACK)
        return run

    def feedback(self, champion: Champion, folder: Path) -> list[Feedback]:
        """All that was said of the part, oldest first, with the images copied to the folder."""
        run = self._feedback_run(champion)
        paths = self._copied(run, FEEDBACK, folder) if run else []
        records = [path for path in paths if path.suffix == ".json"]
        said = [Feedback.model_validate_json(path.read_text()) for path in records]
        return sorted(said, key=lambda one: one.when)

    def _create(self, name: str) -> str:
        database = self._uri.removeprefix("sqlite:///")
        experiment = open_experiment(self._client, Path(database).parent / "mlflow-artifacts")
        return str(self._client.create_run(experiment, run_name=name).info.run_id)

    def _feedback_run(self, champion: Champion) -> str | None:
        tags: dict[str, str] = self._client.get_registered_model(champion.model).tags
        return tags.get(FEEDBACK_RUN)

    def _open_feedback(self, champion: Champion) -> str:
        run = self._create(f"feedback {champion.key}")
        self._client.set_registered_model_tag(champion.model, FEEDBACK_RUN, run)
        return run

    def _copied(self, run_id: str, artifact: str, folder: Path) -> list[Path]:
        try:
            with TemporaryDirectory() as scratch:
                uri = f"runs:/{run_id}/{artifact}"
                found = download_artifacts(uri, dst_path=scratch, tracking_uri=self._uri)
                shutil.copytree(found, folder, dirs_exist_ok=True)
        except (MlflowException, OSError):
            if self._client.list_artifacts(run_id, artifact):
                raise
            return []
        return sorted(path for path in folder.iterdir() if path.is_file())
