"""The paper's numbers as reference runs, for MLflow's comparison view beside measured ones."""

from collections import defaultdict
from pathlib import Path

from mlflow import MlflowClient

from finegrain.evaluation.published import SOURCE, PublishedRow, published_rows
from finegrain.tracking.runs import EXPERIMENT, BenchmarkRun, open_client

TAGS = {"source": "published", "reference": SOURCE}


def load_published(uri: str, artifacts: Path) -> list[str]:
    """Record every published row below a parent for its table, once; the parents' names.

    Metrics are called what measured runs call them: `image_auroc` and `pixel_auroc` of a row,
    METHOD_SHOTSshot_METRIC of a parent.
    """
    parents: dict[str, list[PublishedRow]] = defaultdict(list)
    for row in published_rows():
        parents[_parent(row)].append(row)
    client = open_client(uri)
    for name, rows in parents.items():
        run = BenchmarkRun(uri, name, artifacts, _known(client, name))
        for row in rows:
            run.record(
                f"{row.measured_as}_{row.setting}".replace(":", "-"),
                repr(row),
                params=_params(row),
                metrics=row.scores,
                tags=TAGS,
                artifacts=[],
                failed=False,
            )
        run.finish(
            params={"table": rows[0].table, "dataset": rows[0].dataset},
            metrics={
                f"{row.measured_as}_{row.setting.replace('-', '')}_{metric}": value
                for row in rows
                for metric, value in row.scores.items()
            },
            tags=TAGS,
            artifacts=[],
            failed=False,
        )
    return list(parents)


def _parent(row: PublishedRow) -> str:
    """A table's rows on one data set; the backbones of table 5 are parents of their own."""
    name = f"published-table-{row.table}-{row.dataset}"
    return f"{name}-{row.backbone}-{row.resolution}".replace("/", "-") if row.resolution else name


def _known(client: MlflowClient, name: str) -> str | None:
    """The parent of that name where it was recorded before."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        return None
    named = f"attributes.run_name = '{name}'"
    found = client.search_runs([experiment.experiment_id], named, max_results=1)
    return str(found[0].info.run_id) if found else None


def _params(row: PublishedRow) -> dict[str, object]:
    """What a measured trial has as parameters, and the paper's own words."""
    given = {
        "method": row.measured_as,
        "published_as": row.method,
        "backbone": row.backbone,
        "params": row.params,
        "auxiliary_data": row.auxiliary_data,
        "resolution": row.resolution,
    }
    known = {name: value for name, value in given.items() if value is not None}
    shots = row.shots or "full"
    return {"table": row.table, "dataset": row.dataset, "shots": shots, **known}
