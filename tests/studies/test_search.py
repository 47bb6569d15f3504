"""What a search plans, measures and reports; on a real Ray in test_benchmark.py."""

import random
from pathlib import Path

import pytest

from finegrain.benchmark.grid import Grid
from finegrain.benchmark.methods import with_option, with_options
from finegrain.benchmark.plan import plan, resolve
from finegrain.benchmark.trial import shot_paths
from finegrain.cli.main import main
from finegrain.data.images import read_rgb
from finegrain.detectors import DETECTORS, make_detector
from finegrain.errors import ConfigError
from finegrain.evaluation.compare import Expense, Measurement, compare
from finegrain.evaluation.metrics import Scores
from finegrain.evaluation.validation import hold_out, validate
from finegrain.studies.search import spaces
from finegrain.studies.search.choice import SearchChoice
from finegrain.studies.search.confirm import check_seeds, conclusion, confirmation
from finegrain.studies.search.job import start_searches
from finegrain.studies.search.report import ranked, search_text
from finegrain.studies.search.spec import (
    Search,
    Setting,
    Step,
    described,
    load_space,
    read_search,
    with_setting,
)
from finegrain.studies.search.study import rank_correlation, study_text, write_study
from finegrain.studies.search.worker import SettingWorker
from finegrain.tables import Row

SPACES = spaces.__file__
OWN = Path(__file__).parents[2] / "tune_spaces" / "spaces.py"


def made_search(plates, method="promptad", epochs=100, **changes):
    options = [f"{method}.training.epochs={epochs}"] if method == "promptad" else []
    grid = Grid(
        dataset="folder", data_root=plates, methods=[method], shots=[2], seeds=[0], options=options
    )
    benchmark = resolve(grid, beside=plates)
    chosen = {"space": f"{SPACES}:{method}", "domains": {}, "samples": 3} | changes
    return Search(benchmark=benchmark, **chosen)


@pytest.mark.parametrize(
    ("epochs", "scheduler", "rungs"),
    [
        (100, "asha", (12, 36, 100)),
        (27, "asha", (3, 9, 27)),
        (2, "asha", (2,)),
        (100, "none", (100,)),
    ],
)
def test_rungs(plates, epochs, scheduler, rungs):
    assert made_search(plates, epochs=epochs, scheduler=scheduler).rungs == rungs


def test_what_does_not_learn_has_one_rung(plates):
    assert made_search(plates, "padim").rungs == (1,)


def test_options_are_set_where_they_belong():
    before = {"a": 1, "outer": {"b": 2, "c": 3}}
    after = with_option(with_option(before, "outer.b", "[4, 5]"), "d", "text")
    assert after == {"a": 1, "outer": {"b": [4, 5], "c": 3}, "d": "text"}
    assert before == {"a": 1, "outer": {"b": 2, "c": 3}}


@pytest.mark.parametrize("name", sorted(DETECTORS))
def test_every_detector_takes_its_space(name):
    random.seed(0)
    space = load_space(f"{SPACES}:{name}")
    for _ in range(30):
        sampled = {option: domain.sample() for option, domain in space.items()}
        DETECTORS[name].Config.from_options(with_options({}, sampled))


@pytest.mark.parametrize("name", sorted(DETECTORS))
def test_the_file_to_copy_has_the_packages_spaces(name):
    assert described(load_space(f"{OWN}:{name}")) == described(load_space(f"{SPACES}:{name}"))


def test_a_wrong_space_is_named():
    with pytest.raises(ConfigError, match=r"no space 'padin'; it has .*padim"):
        load_space(f"{SPACES}:padin")
    with pytest.raises(ConfigError, match=r"FILE\.py:FUNCTION; there is no absent\.py"):
        load_space("absent.py:padim")


def test_epochs_are_not_searched(plates, tmp_path):
    (tmp_path / "own.py").write_text(
        "from ray import tune\ndef longer(): return {'training.epochs': tune.choice([1, 2])}\n"
    )
    grid = Grid(dataset="folder", data_root=plates, methods=["promptad"], shots=[1])
    with pytest.raises(ConfigError, match="the scheduler stops settings early"):
        start_searches(
            grid, SearchChoice(space=f"{tmp_path}/own.py:longer"), per_category=False,
            output=tmp_path / "search",
        )  # fmt: skip


def test_a_space_of_its_own_is_run_on_resuming_only_if_that_is_said(plates, tmp_path, capsys):
    own, ran = tmp_path / "own.py", tmp_path / "ran"
    own.write_text(
        "from pathlib import Path\nfrom ray import tune\n"
        f"def mine():\n    Path({str(ran)!r}).touch()\n"
        "    return {'margin': tune.choice([1, 2])}\n"
    )
    grid = Grid(dataset="folder", data_root=plates, methods=["promptad"], shots=[1])
    space = f"{own}:mine"
    [directory] = start_searches(
        grid, SearchChoice(space=space), per_category=False, output=tmp_path / "search"
    )
    ran.unlink()
    assert main(["search", "--resume", str(directory)]) == 2
    assert f"you trust it, say so: --resume search --space {space}" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="whose file would be run"):
        read_search(directory, f"{tmp_path / 'other.py'}:mine")
    assert not ran.exists()
    assert read_search(directory, space).space == space
    assert ran.exists()


def test_a_setting_is_scored_without_the_test_images(plates, backbone):
    """At the last rung it is the validation of a plain fit; a spoilt test set is never read."""
    for path in plates.glob("*/test/*/*.png"):
        path.write_bytes(b"spoilt")
    search = made_search(plates, epochs=3)
    setting = {"learnable": 2, "training.learning_rate": 0.01}
    trials = plan(search.benchmark)
    steps = list(SettingWorker("cpu", 1).run(search, trials, setting))
    assert [step.epoch for step in steps] == [1, 3]
    assert all(set(step.validation) == {"plate_a", "plate_b"} and not step.test for step in steps)
    trial = with_setting(trials[0], setting)
    assert trial.options["training"] == {"epochs": 3, "learning_rate": 0.01}
    category = trial.load_category()
    images = [read_rgb(path) for path in shot_paths(trial, category)]
    fitted = make_detector("promptad", backbone, trial.options, seed=0).fit(images)
    assert steps[-1].validation["plate_a"] == validate(fitted, hold_out(backbone, images, seed=0))


def test_a_study_measures_the_test_set_beside(plates):
    search = made_search(plates, "padim", study=True)
    (step,) = SettingWorker("cpu", 1).run(search, plan(search.benchmark), {"dimensions": 50})
    assert set(step.test) == {"plate_a", "plate_b"}
    assert step.mean("pixel_auroc", "test") == pytest.approx(
        sum(scores.pixel_auroc for scores in step.test.values()) / 2
    )


def sample(epoch, validation, test=None, **options):
    both = [{"plate": Scores(0.5, value)} for value in (validation, test or 0.0)]
    step = Step(epoch=epoch, seconds=1.0, validation=both[0], test=both[1])
    return Setting(options=options, status="ok", steps=(step,))


def test_longest_first_and_of_these_the_best(plates):
    search = made_search(plates)
    found = [sample(12, 0.9, x=1), sample(100, 0.7, x=2), sample(100, 0.8, x=3)]
    best = ranked(search, {s.key: s for s in found})
    assert [s.options["x"] for s in best] == [3, 2, 1]
    text = search_text(search, {s.key: s for s in found}, best)
    assert "--set promptad.x=3" in text
    assert "leak" not in text


def test_rank_correlation_by_hand():
    """Ranks 1234 against 1243: Σd² = 2, ρ = 1 − 6·2 / (4·15) = 0.8."""
    assert rank_correlation([(1, 10), (2, 20), (3, 40), (4, 30)]) == "0.80"
    assert rank_correlation([(1, 10), (1, 20)]) == "–"
    assert rank_correlation([]) == "–"


def test_a_study_says_what_following_the_validation_costs(plates, tmp_path):
    search = made_search(plates, study=True)
    search = search.model_copy(
        update={"benchmark": search.benchmark.model_copy(update={"categories": ("plate",)})}
    )
    found = [sample(100, v, t, x=v) for v, t in
             [(0.6, 0.5), (0.7, 0.8), (0.8, 0.7), (0.5, 0.4), (0.4, 0.3)]]  # fmt: skip
    files = write_study(search, {s.key: s for s in found}, tmp_path)
    assert [f.name for f in files] == ["correlation.md", "correlation.png"]
    text = files[0].read_text()
    assert "0.90 |   70.0 of 80.0" in text  # ranks 34521 and 35421: ρ = 1 − 6·2 / (5·24)
    assert write_study(search, {}, tmp_path) == []
    assert study_text(search, 0, {}).startswith("0 settings")


def test_what_was_found_is_tried_beside_the_default_on_other_shots(plates):
    search = made_search(plates, epochs=7)
    other = confirmation(search, sample(7, 0.9, margin=0.5), [1, 2])
    assert other.methods == ("promptad", "promptad:found")
    assert other.options == {
        "promptad": {"training": {"epochs": 7}},
        "promptad:found": {"training": {"epochs": 7}, "margin": 0.5},
    }
    assert other.seeds == (1, 2)
    with pytest.raises(ConfigError, match="seed 0 was searched on"):
        check_seeds(search, [0, 1])


@pytest.mark.parametrize(
    ("gains", "told"),
    [
        ((2.0, 2.5), "beats the default in pixel_auroc: +2.25 points"),
        ((-3.0, -1.0), "is worse than the default"),
        ((-3.0, 3.0), "is not shown to beat the default"),
    ],
)
def test_the_verdict_follows_the_interval(plates, gains, told):
    rows = [
        Row(category, method, 2, 1, {"pixel_auroc": 90.0 + gain})
        for category, found in zip(("a", "b"), gains, strict=True)
        for method, gain in (("promptad", 0.0), ("promptad:found", found))
    ]
    measured = [Measurement(row, Expense()) for row in rows]
    compared = compare(measured, "promptad", metrics=["pixel_auroc"])
    assert told in conclusion(compared, made_search(plates))
