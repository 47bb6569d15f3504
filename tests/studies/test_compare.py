"""Recorded benchmarks pooled without mixing, and the files of a whole comparison."""

import csv
import io

import pytest
from PIL import Image

from finegrain.errors import ConfigError
from finegrain.evaluation.compare import Expense
from finegrain.studies.compare.pool import pool
from finegrain.studies.compare.run import compare_recorded
from finegrain.tracking import BenchmarkRun, RecordedTrial, recorded_trials
from tests.databases import new_database


def trial(benchmark, method="spade", category="gear", seed=0, **changes):
    given = {
        "run_id": f"{benchmark}-{method}-{category}-{seed}-{changes}",
        "benchmark": benchmark,
        "benchmark_id": benchmark,
        "dataset": "folder",
        "shots": 1,
        "backbone": "bundled",
        "weights": "None",
        "options": {},
        "data_fingerprint": "f1",
        "support": (f"shot{seed}",),
        "scores": {"image_auroc": 90.0},
        "cost": Expense(),
    }
    named = {"method": method, "category": category, "seed": seed}
    return RecordedTrial(**(given | named | changes))


def methods(trials):
    return sorted({one.row.method for one in pool(trials).measured})


def test_the_same_trial_of_two_benchmarks_counts_once_and_new_seeds_join():
    found = pool([trial("a"), trial("b"), trial("b", seed=1)])
    assert [(one.row.method, one.row.seed) for one in found.measured] == [
        ("spade", 0), ("spade", 1)
    ]  # fmt: skip
    assert found.notes == ("1 trials are in several benchmarks and count once.",)
    assert len(pool([trial("a"), trial("a")]).measured) == 1


def test_other_options_are_named_apart_by_benchmark_and_said():
    trials = [trial("a"), trial("b", options={"spade.nearest_patches": "3"}), trial("b", "padim")]
    assert methods(trials) == ["padim", "spade [a]", "spade [b]"]
    assert pool(trials).notes[-1] == "spade [b]: bundled, nearest_patches=3."


def test_other_backbones_are_named_by_them():
    assert methods([trial("a"), trial("b", backbone="resnet18")]) == [
        "spade bundled", "spade resnet18"
    ]  # fmt: skip


def test_two_benchmarks_of_one_name_are_named_by_their_ids_too():
    other = trial("a", benchmark_id="0123456789", options={"spade.k": "3"})
    assert methods([trial("a"), other]) == ["spade [a 012345]", "spade [a a]"]


def test_words_of_a_category_do_not_part_benchmarks_unless_they_contradict():
    words = {"promptad.object_name": "gear"}
    one, other = {"options": words}, {"options": {"promptad.object_name": "pcb"}}
    same = [trial("a", "promptad", **one), trial("b", "promptad", category="pcb", **other)]
    assert methods(same) == ["promptad"]
    same.append(trial("c", "promptad", seed=1, **other))
    assert methods(same) == ["promptad [a]", "promptad [c]"]


def test_other_shots_of_one_method_are_named_apart_and_of_two_are_said():
    assert methods([trial("a"), trial("b", support=("x",))]) == ["spade [a]", "spade [b]"]
    found = pool([trial("a"), trial("a", "padim", support=("x",))])
    assert found.notes[0].startswith("In 1 of 1 combinations")


def test_other_data_of_a_category_make_no_pairs():
    found = pool([trial("a"), trial("b", "padim", data_fingerprint="f2"), trial("a", seed=1)])
    assert sorted({one.row.category for one in found.measured}) == ["gear (f1)", "gear (f2)"]
    assert found.notes == (
        "The benchmarks saw different data of gear: those results make no pairs.",
    )


def test_the_first_method_is_that_of_the_first_run_given(uri):
    assert pool([trial("b", "spade"), trial("a", "padim")]).first == "spade"
    whole = recorded_trials(uri, ["grid"])
    spade = next(one.run_id for one in whole if one.method == "spade")
    assert pool(whole).first == "padim"
    assert pool(recorded_trials(uri, [spade, "grid"])).first == "spade"


def test_two_data_sets_are_refused():
    with pytest.raises(ConfigError, match="of folder and visa; compare one data set at a time"):
        pool([trial("a"), trial("b", dataset="visa")])


SCORES = {"padim": (70.0, 80.0, 90.0), "spade": (72.0, 79.0, 95.0)}


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    uri = new_database(folder)
    run = BenchmarkRun(uri, "grid", folder / "artifacts", None)
    for method, scores in SCORES.items():
        for category, score in zip(("bolt", "gear", "pcb"), scores, strict=True):
            params = {"dataset": "visa", "category": category, "method": method, "shots": 1,
                      "seed": 0, "backbone": "bundled", "weights": None}  # fmt: skip
            metrics = {"image_auroc": score, "fit_seconds": 2.0, "values": 1200.0}
            run.record(f"{category}_{method}", "d", params=params, metrics=metrics, tags={},
                       artifacts=[], failed=False)  # fmt: skip
    return uri


def test_a_comparison_is_written_as_text_table_and_picture(uri, tmp_path):
    text, folder = compare_recorded(["grid"], uri=uri, published=True, output=tmp_path / "out")
    assert (folder / "comparison.md").read_text() == text + "\n"
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    (line,) = [c for c in cells if c[:2] == ["spade", "1"] and c[4] == "+2.0"]
    assert line[2:4] == ["82.0", "80.0"]
    assert line[7:] == ["2/0/1", "gear -1.0", "3", "0"]
    assert ["spade", "1", "2.00", "–", "–", "1,200"] in cells
    assert ["padim †", "1", "62.82", *["–"] * 8] in cells
    lines = list(csv.DictReader(io.StringIO((folder / "comparison.csv").read_text())))
    (spade,) = [
        line for line in lines
        if (line["source"], line["method"], line["metric"]) == ("measured", "spade", "image_auroc")
    ]  # fmt: skip
    assert (spade["difference"], spade["worst_category"]) == ("2.0000", "gear")
    with Image.open(folder / "comparison.png") as picture:
        assert picture.size[0] > 500


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"metrics": ["auroc"]}, "no metric auroc; there are image_auroc"),
        ({"shots": [1, 4]}, r"no results at \[4\] shots in these runs; there are \[1\]"),
        ({"reference": "winclip"}, "no method 'winclip' to compare with; there are padim, spade"),
        ({"methods": ["winclip"]}, "no method winclip; there are padim, spade"),
        ({"methods": ["padim"]}, "a comparison needs two methods; there is only padim"),
    ],
)
def test_what_is_not_there_is_told(uri, tmp_path, more, message):
    with pytest.raises(ConfigError, match=message):
        compare_recorded(["grid"], uri=uri, output=tmp_path / "out", **more)
    assert not (tmp_path / "out").exists()


def test_without_a_pair_there_is_no_picture(uri, tmp_path):
    _, folder = compare_recorded(
        ["grid"], uri=uri, metrics=["pixel_auroc"], output=tmp_path / "out"
    )
    assert sorted(path.name for path in folder.iterdir()) == ["comparison.csv", "comparison.md"]
