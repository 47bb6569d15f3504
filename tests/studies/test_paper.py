"""Plans counted by hand, and tables of synthetic results."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from finegrain.benchmark.methods import checked_options
from finegrain.benchmark.plan import TrialResult, plan, resolve
from finegrain.benchmark.report import combined
from finegrain.benchmark.store import create, trial_directory
from finegrain.benchmark.trial import RESULT
from finegrain.captions import find_caption
from finegrain.cli.options import pairs
from finegrain.cluster.connect import Share
from finegrain.errors import ConfigError, DatasetError
from finegrain.evaluation.metrics import Scores
from finegrain.files import write_text
from finegrain.method.paper import PAPER
from finegrain.studies.paper import estimate
from finegrain.studies.paper.exhibits import EXHIBITS, groups
from finegrain.studies.paper.inputs import Inputs, missing
from finegrain.studies.paper.layout import Measured, PaperTable
from finegrain.studies.paper.run import make_exhibit, run_group
from finegrain.tables import Row
from tests.databases import new_database

CLIP, OURS = "ViT-B-16-plus-240", "finegrained:paper"


def make(name, inputs, **changes):
    said = []
    make_exhibit(name, inputs, output=None, share=Share(), tell=said.append, **changes)
    return "\n".join(said)


@pytest.mark.parametrize(
    ("name", "trials", "benchmarks"),
    [
        ("table-1", (15 + 12) * 6 * 3 * 3, 2 * 3),
        ("table-2", 12 * (2 + 1 + 1) * 3, 3),
        ("table-3", 12 * 5 * 3, 1),
        ("table-4", (15 + 12) * 5 * 3, 2),
        ("table-5", 12 * 7 * 3, 7),
        ("table-6", 30 * 3 * 3 * 3, 1),
        ("figure-5", (15 + 12) * 4, 2 * 2),  # one seed
        ("figure-6", (15 + 12) * 1, 2),
        ("figure-7", 12 * (5 + 4 + 4 + 4 + 5) * 3, 5),
    ],
)
def test_a_dry_run_counts_the_papers_trials_without_data(name, trials, benchmarks):
    said = make(name, Inputs(), dry=True)
    assert f"{trials} trials in {benchmarks} benchmarks" in said
    assert "An estimate from seconds a trial, not a measurement" in said
    assert "--data-root" in said.partition("Missing for a real run:")[2]


def stub(root: Path, categories: tuple[str, ...]) -> Path:
    """The layout of MVTec-AD, which VisA is converted to: one tiny image a folder."""
    for name in categories:
        for folder in ("train/good", "test/good", "test/bad", "ground_truth/bad"):
            (root / name / folder).mkdir(parents=True)
            Image.new("RGB", (8, 8)).save(root / name / folder / "000.png")
    return root


def test_a_dry_run_counts_what_lies_on_disk(tmp_path):
    roots = {
        "mvtec": stub(tmp_path / "mvtec", ("bottle", "cable")),
        "visa": stub(tmp_path / "visa", ("candle",)),
    }
    chosen = ("bottle", "cable", "candle")
    said = make("table-1", Inputs(roots=roots, categories=chosen), dry=True)
    assert f"{(2 + 1) * 6 * 3 * 3} trials in 6 benchmarks" in said
    needs = said.partition("Missing for a real run:")[2]
    assert f"--clip-weights {CLIP}=FILE|TAG" in needs
    assert "--data-root" not in needs
    said = make("table-1", Inputs(roots=roots, categories=("cable",), seeds=(0,)), dry=True)
    assert f"{1 * 6 * 3} trials in 3 benchmarks" in said
    with pytest.raises(DatasetError, match="no category 'carpet'"):
        make("table-1", Inputs(roots=roots, categories=("carpet",)), dry=True)


def test_other_data_sets_and_one_backbone_for_all(tmp_path):
    inputs = Inputs(
        datasets=("folder",), roots={"folder": stub(tmp_path, ("a", "b"))}, clip="bundled"
    )
    assert f"{2 * 6 * 3 * 3} trials in 1 benchmarks" in make("table-1", inputs, dry=True)
    with pytest.raises(ConfigError, match="no category 'c'; found a, b"):
        make("table-1", Inputs(("folder",), inputs.roots, categories=("c",)), dry=True)
    with pytest.raises(ConfigError, match="compares backbones"):
        make("table-5", inputs, dry=True)


def test_hours_are_seconds_of_fits_encoding_and_scoring():
    costs = {("padim", "bundled"): estimate.Cost(2.0, 10.0, 100.0, "a GPU")}
    inputs = Inputs(("factory",), clip="bundled", categories=("gear",), seeds=(0, 1))
    (group,) = groups(EXHIBITS["table-2"], ("factory",), "bundled")[2:]
    assert (group.methods, group.shots) == (("padim",), (16,))
    (planned,) = estimate.plan_costs([group], inputs, costs)
    # 20 good test images and 6 of each of 6 defects; each shot is encoded with 4 changed copies
    encoding = 0.1 * (56 + 2 * 16 * 5)
    assert planned.hours == pytest.approx((2 * 2.0 + 2 * 56 * 0.01 + encoding) / 3600)
    assert (planned.trials, planned.device) == (2, "a GPU")


def test_timings_are_means_of_recorded_results(captioned, tmp_path):
    store_results(captioned, "table-4", tmp_path)
    costs = estimate.recorded_costs([tmp_path])
    expected = estimate.Cost(1.0, 1.0, 1.0, "a GPU (--timings)")
    assert costs["finegrained", "bundled"] == costs["finegrained:all", "bundled"] == expected
    assert estimate.cost_of("finegrained:new", "bundled", costs) == expected
    assert "(default)" in estimate.cost_of("finegrained", CLIP, costs).device
    with pytest.raises(ConfigError, match="holds no results of a benchmark"):
        estimate.recorded_costs([tmp_path / "nowhere"])


def test_everything_that_is_missing_is_listed_at_once():
    with pytest.raises(ConfigError) as raised:
        make("table-4", Inputs())
    for need in ("--data-root mvtec=PATH", "--data-root visa=PATH", f"--clip-weights {CLIP}="):
        assert need in str(raised.value)
    inputs = Inputs(("factory",), weights={"ViT-L-14-336-quickgelu": "file"})
    needs = missing(inputs.groups(EXHIBITS["table-5"]), inputs)
    assert not [need for need in needs if "ViT-L-14-336" in need]
    with pytest.raises(ConfigError, match="--data-root takes NAME=VALUE; got '/data'"):
        pairs(["/data"], "--data-root")


@pytest.mark.parametrize("name", EXHIBITS)
def test_the_paper_s_method_runs_as_the_paper_has_it(name):
    """No exhibit runs the defaults: a row is the preset, or a variant with all of its options."""
    for group in groups(EXHIBITS[name], ["folder"], None if name == "table-5" else "bundled"):
        given = checked_options(group.methods, group.options)
        ours = {m: given.get(m, {}) for m in group.methods if m.startswith("finegrained")}
        for method, options in ours.items():
            assert method != "finegrained"
            if group.ablation:
                assert {name: set(options[name]) for name in PAPER} == {
                    name: set(switches) for name, switches in PAPER.items()
                }
            else:
                assert options == PAPER


def row(category, method, shots, seed, image, pixel):
    return Row(category, method, shots, seed, {"image_auroc": image, "pixel_auroc": pixel})


def lines_of(text):
    """The cells of a Markdown table, and its widths must agree."""
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(line) for line in table}) == 1
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_table_1_sets_measured_published_and_difference_below_each_other():
    rows = [row("x", "padim", 4, seed, 80 + 2 * seed, 93.0) for seed in (0, 1)]
    found = {("padim", "resnet18", "mvtec", 4): Measured(rows, ms=12.5)}
    text = PaperTable(EXHIBITS["table-1"], Inputs(seeds=(0, 1)), found).markdown()
    header, _, *body = lines_of(text)
    assert header[:5] == ["method", "backbone", "params", "aux. data", "source"]
    assert header[5:9] == ["mvtec 1-shot image", "mvtec 1-shot pixel",
                           "mvtec 2-shot image", "mvtec 2-shot pixel"]  # fmt: skip
    assert len(header) == 5 + 2 * 3 * 2 + 1
    assert len(body) == 5 + 3 * 6  # five are published only
    place = header.index("mvtec 4-shot image")
    padim = [line for line in body if line[0] == "PaDiM"]
    assert [line[4] for line in padim] == ["measured", "published †", "difference"]
    assert [line[1] for line in padim][:2] == ["resnet18", "ResNet-18"]
    assert [line[place] for line in padim] == ["81.0 ± 1.0", "80.44", "+0.6"]
    assert [line[place + 1] for line in padim] == ["93.0 ± 0.0", "92.61", "+0.4"]
    assert [line[-1] for line in padim] == ["12.5", "68.5", "–"]
    assert [line[4] for line in body[:5]] == ["published †"] * 5
    assert "† published in" in text


def test_table_2_has_a_row_a_setting():
    rows = [row("x", OURS, 1, 0, 84.0, 96.0)]
    found = {(OURS, CLIP, "visa", 1): Measured(rows)}
    text = PaperTable(EXHIBITS["table-2"], Inputs(seeds=(0,)), found).markdown()
    header, _, *body = lines_of(text)
    assert header == ["method", "setting", "source", "visa image", "visa pixel"]
    assert body[0] == ["FineGrainedAD", "1-shot", "measured", "84.0", "96.0"]
    assert body[2] == ["FineGrainedAD", "1-shot", "difference", "-0.2", "-0.4"]
    assert body[3] == ["FineGrainedAD", "4-shot", "measured", "–", "–"]
    assert body[-1] == ["GLASS", "full-shot", "published †", "98.8", "98.8"]


@pytest.mark.parametrize(
    ("name", "heads", "first", "last"),
    [
        ("table-3", 4, ["", "", "", ""], ["✓", "✓", "✓", "✓"]),
        ("table-4", 3, ["", "", ""], ["✓", "✓", "✓"]),
        ("table-5", 4, ["ViT-B-32", "86M", "224", "49"], ["ViT-H/14", "632M", "224", "256"]),
        ("table-6", 1, ["WinCLIP+"], ["FineGrainedAD"]),
    ],
)
def test_every_row_of_these_tables_is_measured(name, heads, first, last):
    exhibit = EXHIBITS[name]
    _, _, *body = lines_of(PaperTable(exhibit, Inputs(), {}).markdown())
    assert len(body) == 3 * len(exhibit.entries)
    assert (body[0][:heads], body[-1][:heads]) == (first, last)


def test_no_difference_is_taken_where_nothing_compares():
    rows = [row("x", OURS, 4, 0, 84.0, None), row("y", OURS, 4, 0, 86.0, 90.0)]
    found = {(OURS, CLIP, "realiad", 4): Measured(rows)}
    table = PaperTable(EXHIBITS["table-6"], Inputs(categories=("toothbrush",), seeds=(0,)), found)
    header, _, *body = lines_of(table.markdown())
    place = header.index("realiad 4-shot image")
    assert [line[place] for line in body[6:]] == ["85.0", "86.22", "–"]
    assert body[6][place + 1] == "90.0*"
    assert "no difference is taken" in table.markdown()
    assert "some trials are missing" in table.markdown()
    other = {(OURS, "bundled", "factory", 4): Measured(rows)}
    table = PaperTable(EXHIBITS["table-6"], Inputs(("factory",), clip="bundled"), other)
    assert "published †" not in table.markdown()
    assert "Nothing is published for these data sets" in table.markdown()


@pytest.fixture
def captioned(plates, tmp_path):
    """Inputs of the plates with captions of their own."""
    captions = tmp_path / "captions"
    for name in ("plate_a", "plate_b"):
        caption = find_caption("folder", "magnetic_tile").model_dump(mode="json")
        write_text(captions / f"{name}.json", json.dumps(caption | {"category": name}))
    return Inputs(
        ("folder",), {"folder": plates}, "bundled", seeds=(0,), more={"captions": captions}
    )


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    return new_database(tmp_path_factory.mktemp("mlflow"))


def store_results(inputs, name, output):
    """A result for each trial: the place of its variant in percent, and 50 more for pixels."""
    for group in inputs.groups(EXHIBITS[name]):
        benchmark = resolve(inputs.grid(group), beside=output)
        for trial in plan(benchmark):
            place = benchmark.methods.index(trial.method)
            given = dict.fromkeys(Scores.names()) | {
                "image_auroc": place / 100, "pixel_auroc": 0.5 + place / 100
            }  # fmt: skip
            result = TrialResult(
                trial=trial, config_hash=trial.config_hash(), status="ok", scores=Scores(**given),
                fit_seconds=1, score_ms=1, encode_ms=1, environment={"device": "a GPU"},
            )  # fmt: skip
            path = trial_directory(output / group.folder, trial) / RESULT
            write_text(path, result.model_dump_json())


def test_a_table_of_stored_results_runs_nothing(captioned, tmp_path, uri):
    output, said = tmp_path / "out", []
    store_results(captioned, "table-4", output)
    assert make_exhibit(
        "table-4", captioned, output=output, share=Share(), tell=said.append, tracking_uri=uri,
    )  # fmt: skip
    _, _, *body = lines_of((output / "tables" / "table-4.md").read_text())
    assert body[0] == ["", "", "", "measured", "0.0", "50.0"]
    assert body[3] == ["✓", "", "✓", "measured", "3.0", "53.0"]
    assert len(body) == 5
    table = list(csv.DictReader(io.StringIO((output / "tables" / "table-4.csv").read_text())))
    assert [line["image_auroc"] for line in table] == [f"{i:.4f}" for i in range(5)]
    assert {(line["dataset"], line["shots"]) for line in table} == {("folder", "4")}
    assert not [line for line in said if "MLflow" in line]


def test_benchmarks_are_one_table_with_each_trial_once(captioned, tmp_path):
    for name in ("figure-6", "table-4"):
        store_results(captioned, name, tmp_path)
        for group in captioned.groups(EXHIBITS[name]):
            create(resolve(captioned.grid(group), beside=tmp_path), tmp_path / group.folder)
    first, second = sorted(path.parent for path in tmp_path.glob("*/benchmark.json"))
    text = combined([first, second, first])
    assert text.startswith("folder\n")
    summary = lines_of(text.partition("Image / pixel")[0])
    assert [line[:3] for line in summary[2:]] == [
        ["finegrained:all", "4", "4.0"],
        ["finegrained:baseline", "4", "0.0"],
        ["finegrained:multi-level", "4", "1.0"],
        ["finegrained:multi-level+alignment", "4", "2.0"],
        ["finegrained:multi-level+token-wise", "4", "3.0"],
        [OURS, "4", "0.0"],
    ]


def test_results_of_another_table_are_taken_over(captioned, tmp_path, uri):
    output = tmp_path / "out"
    two = replace(captioned, seeds=(0, 1))
    store_results(two, "figure-6", output)
    (group,) = two.groups(EXHIBITS["figure-6"])
    directory = output / group.folder
    directory.rename(output / "elsewhere")

    def parent(inputs):
        assert run_group(group, inputs, output, Share(), lambda _: None, uri)
        return json.loads((directory / "mlflow.json").read_text())["run_id"]

    first = parent(two)
    assert parent(two) == first
    assert parent(captioned) != first  # another grid: MLflow never changes a run's parameters
    assert json.loads((directory / "benchmark.json").read_text())["seeds"] == [0]
