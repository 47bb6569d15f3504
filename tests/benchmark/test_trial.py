"""One trial in this process."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from finegrain.benchmark.grid import Grid
from finegrain.benchmark.plan import plan, read_result, resolve
from finegrain.benchmark.trial import Worker
from finegrain.checkpoint import load_detector, read_config
from finegrain.data import load_category
from finegrain.data.images import read_rgb
from finegrain.decision.thresholds import FALSE_ALARMS
from finegrain.errors import CalibrationError
from finegrain.evaluation.evaluate import evaluate, load_test_set, score_all


@pytest.fixture
def trials(plates):
    grid = {"dataset": "folder", "data_root": plates, "methods": ["patchcore"]}
    return plan(resolve(Grid(shots=[2], seeds=[0, 1], **grid), beside=plates))


@pytest.fixture
def worker():
    before = torch.get_num_threads()
    yield Worker("cpu", threads=1)
    torch.set_num_threads(before)


def test_a_trial_leaves_result_checkpoint_and_heatmaps(trials, worker, backbone, tmp_path):
    result = worker.run(trials[0], tmp_path)
    assert result.status == "ok"
    assert read_result(tmp_path / "result.json", trials[0]) == result
    assert [shot.path.parent.name for shot in result.support] == ["good", "good"]
    assert result.environment["torch"] == torch.__version__
    assert read_rgb(tmp_path / "heatmaps.png").shape[1] == 6 * 160
    # The checkpoint gives the very scores that the result has.
    category = load_category("folder", trials[0].data_root, "plate_a")
    test = load_test_set(category, backbone)
    again = evaluate(score_all(load_detector(result.checkpoint, backbone), test.tokens), test)
    assert again == result.scores
    assert read_config(result.checkpoint).thresholds.canary > 0


def test_a_listed_trial_is_fitted_on_the_listed_images(trials, worker, tmp_path):
    listed = trials[0].model_copy(update={"shot_indices": (3, 1)})
    result = worker.run(listed, tmp_path)
    assert [shot.path.name for shot in result.support] == ["003.png", "001.png"]


def test_images_are_encoded_once_a_worker(trials, worker, tmp_path, monkeypatch):
    calls = []

    def counting(category, backbone, **how):
        calls.append(category.name)
        return load_test_set(category, backbone, **how)

    monkeypatch.setattr("finegrain.benchmark.trial.load_test_set", counting)
    for trial in trials:
        worker.run(trial, tmp_path / trial.name)
    assert calls == ["plate_a", "plate_b"]


def test_tokens_beyond_the_memory_given_are_encoded_anew_and_nothing_else_changes(
    trials, worker, tmp_path, monkeypatch, caplog
):
    kept = worker.run(trials[0], tmp_path / "kept")
    monkeypatch.setenv("FINEGRAIN_TOKENS_GB", "0.0001")
    streaming = Worker("cpu", threads=1)
    again = streaming.run(trials[0], tmp_path / "again")
    assert again.scores == kept.scores
    assert (again.false_alarms, again.detected) == (kept.false_alarms, kept.detected)
    assert again.encode_ms > 0
    assert "FINEGRAIN_TOKENS_GB allows more" in caplog.text


def test_a_narrow_part_keeps_its_shape_and_its_result_says_so(tmp_path, worker):
    for folder, marked in (("train/good", 0), ("test/good", 0), ("test/hole", 1)):
        (tmp_path / "data/rail" / folder).mkdir(parents=True)
        for seed in range(3):
            generator = np.random.default_rng([seed, len(folder)])
            image = generator.integers(90, 110, (30, 240, 3)).astype(np.uint8)
            image[8:22, 100 : 100 + 20 * marked] = 0
            Image.fromarray(image).save(tmp_path / "data/rail" / folder / f"{seed}.png")
    found = {}
    for resize in ("auto", "squash"):
        grid = Grid(dataset="folder", data_root=tmp_path / "data", methods=("patchcore",),
                    shots=(2,), seeds=(0,), resize=resize)  # fmt: skip
        [trial] = plan(resolve(grid, beside=tmp_path))
        found[resize] = worker.run(trial, tmp_path / resize)
    assert read_config(found["auto"].checkpoint).aspect == 8
    said = "rail's shots are 8 times as wide as tall: its images keep that"
    assert said in str(found["auto"].notes)
    assert read_config(found["squash"].checkpoint).aspect is None
    assert found["auto"].config_hash != found["squash"].config_hash
    for result in found.values():
        assert result.scores.image_auroc == 1


def test_a_trial_is_calibrated_and_its_alarms_are_counted(trials, worker, tmp_path, backbone):
    result = worker.run(trials[0], tmp_path)
    thresholds = read_config(result.checkpoint).thresholds
    category = load_category("folder", trials[0].data_root, trials[0].category)
    test = load_test_set(category, backbone)
    scores = load_detector(result.checkpoint, backbone).score(test.tokens).image_scores
    assert result.false_alarms == np.mean(scores[~test.labels] > thresholds.image)
    assert result.detected == np.mean(scores[test.labels] > thresholds.image)
    assert thresholds.false_alarms == FALSE_ALARMS == trials[0].alarms_per_100
    asked = trials[0].model_copy(update={"alarms_per_100": 20.0})
    again = read_config(worker.run(asked, tmp_path / "asked").checkpoint).thresholds
    assert again == thresholds.at(20.0)


def test_scores_that_allow_no_threshold_are_measured_all_the_same(
    trials, worker, tmp_path, monkeypatch
):
    def refuse(*_, **__):
        raise CalibrationError("no threshold can be set")

    monkeypatch.setattr("finegrain.benchmark.trial.calibrate", refuse)
    result = worker.run(trials[0], tmp_path)
    assert (result.status, result.false_alarms) == ("ok", None)
    assert result.scores.image_auroc is not None
    assert read_config(result.checkpoint).thresholds is None
    assert "patchcore: no threshold can be set" in result.notes


def test_without_masks_pixel_metrics_are_undefined(trials, worker, tmp_path):
    shutil.rmtree(trials[0].data_root / "plate_a" / "ground_truth")
    result = worker.run(trials[0], tmp_path)
    assert result.status == "ok"
    assert result.scores.pixel_auroc is None
    assert result.scores.image_auroc is not None


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda a: (a / "test/good/002.png").write_bytes(b"not"), r"good/002\.png is not an image"),
        (lambda a: (a / "test/hole/001.png").write_bytes(b""), r"hole/001\.png is empty"),
        (lambda a: (a / "ground_truth/hole/001_mask.png").unlink(), r"001\.png has no mask"),
        (
            lambda a: Image.new("1", (9, 9)).save(a / "ground_truth/hole/003_mask.png"),
            r"003_mask\.png is 9x9 but its image 64x64",
        ),
        (lambda a: [p.unlink() for p in (a / "train/good").iterdir()], "holds no image"),
        (
            lambda a: [(a / f"train/good/{i:03}.png").unlink() for i in range(4)],
            "has 1 normal training images; 2 shots were asked for",
        ),
        (
            lambda a: [shutil.copy(p, a / "test/good") for p in (a / "train/good").iterdir()],
            "is also a test image",
        ),
    ],
)
def test_bad_data_fail_their_trial_and_say_why(trials, worker, tmp_path, spoil, message):
    spoil(trials[0].data_root / "plate_a")
    result = worker.run(trials[0], tmp_path)
    assert result.status == "failed"
    assert re.search(message, result.error)
    assert json.loads((tmp_path / "result.json").read_text())["error"] == result.error
    assert not (tmp_path / "checkpoint").exists()


def test_a_worker_goes_on_after_bad_data(trials, worker, tmp_path):
    (trials[0].data_root / "plate_a" / "test/good/002.png").write_bytes(b"not")
    assert worker.run(trials[0], tmp_path / "bad").status == "failed"
    assert worker.run(trials[-1], tmp_path / "next").status == "ok"
