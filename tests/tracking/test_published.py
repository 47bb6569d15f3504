"""Published numbers as MLflow gives them back, beside a measured run."""

from mlflow import MlflowClient

from finegrain.tracking import BenchmarkRun, load_published
from finegrain.tracking.runs import EXPERIMENT
from tests.databases import new_database


def runs(uri, query):
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    return client.search_runs([experiment], query, max_results=1000)


def test_published_runs_stand_beside_measured_ones_and_are_loaded_once(tmp_path):
    uri, artifacts = new_database(tmp_path), tmp_path / "artifacts"
    measured = BenchmarkRun(uri, "mine", artifacts, None)
    measured.record(
        "bottle", "d", params={}, metrics={"image_auroc": 90.0}, tags={"source": "/src"},
        artifacts=[], failed=False,
    )  # fmt: skip
    parents = load_published(uri, artifacts)
    assert load_published(uri, artifacts) == parents
    loaded = runs(uri, "tags.source = 'published'")
    assert len(loaded) == 96 + len(parents)
    both = runs(uri, "metrics.image_auroc >= 90 and params.dataset = 'mvtec'")
    assert {"finegrained-paper_4-shot"} <= {run.info.run_name for run in both}
    (row,) = runs(uri, "params.method = 'finegrained:paper' and params.dataset = 'visa' "
                       "and params.`table` = '1' and params.shots = '4'")  # fmt: skip
    assert row.data.metrics == {"image_auroc": 86.95, "pixel_auroc": 97.54}
    (parent,) = runs(uri, "attributes.run_name = 'published-table-1-visa'")
    assert parent.data.metrics["padim_1shot_image_auroc"] == 62.82
    (objectives,) = runs(uri, "attributes.run_name = 'published-table-3-visa'")
    assert objectives.data.metrics["finegrained:clip_triplet_4shot_pixel_auroc"] == 96.91
    assert len(runs(uri, "tags.source = '/src'")) == 1
