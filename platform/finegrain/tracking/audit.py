"""Who changed what is served, and when: a run a change, in an experiment of its own.

Runs are added in one call and in any order of processes; registered models, which servers read
every few seconds, stay as small as they are.
"""

from datetime import UTC, datetime
from typing import Literal

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from pydantic import BaseModel, ConfigDict

from finegrain.tracking.runs import open_client, search_all

EXPERIMENT = "finegrain-audit"
PREFIX = "finegrain.audit."
What = Literal["promoted", "enrolled", "rolled back", "withdrawn", "false alarms"]


class Change(BaseModel):
    """A line of the record.

    Args:
        part: DATASET/CATEGORY.
        who: the name of a key, or the user and machine of a command.
        when: ISO 8601, UTC.
        before: the version or number that held until then; None where there was none.
        after: that holds from then on; None where there is none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    part: str
    what: What
    who: str
    when: str
    before: str | None
    after: str | None


def note(
    client: MlflowClient, part: str, what: What, who: str, before: str | None, after: str | None
) -> None:
    """Record a change before it is made: what can't be recorded is not done."""
    when = datetime.now(UTC).isoformat(timespec="milliseconds")
    change = Change(part=part, what=what, who=who, when=when, before=before, after=after)
    tags = {f"{PREFIX}{name}": value for name, value in change.model_dump().items() if value}
    run = client.create_run(_experiment(client), run_name=f"{part} {what}", tags=tags)
    client.set_terminated(run.info.run_id)


def changes(uri: str, part: str | None = None) -> list[Change]:
    """Those of a part, or all; oldest first. Runs that are no changes are left aside."""
    client = open_client(uri)
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is None:
        return []
    runs = search_all(client, str(found.experiment_id), "", ["start_time ASC"])
    read = [change for run in runs if (change := _change(run))]
    return sorted((c for c in read if part in (None, c.part)), key=lambda c: c.when)


def _change(run: Run) -> Change | None:
    tags = {name: run.data.tags.get(f"{PREFIX}{name}") for name in Change.model_fields}
    try:
        return Change.model_validate(tags)
    except ValueError:
        return None


def _experiment(client: MlflowClient) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is None:
        try:
            return client.create_experiment(EXPERIMENT)
        except MlflowException:  # another process was faster
            found = client.get_experiment_by_name(EXPERIMENT)
            if found is None:
                raise
    return str(found.experiment_id)
