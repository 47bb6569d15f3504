"""The command line: quick to answer, each option once, mistakes in one line."""

import csv
import io
import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException

from finegrain import fit
from finegrain.benchmark.grid import Grid
from finegrain.benchmark.trial import failed
from finegrain.cli.main import COMMANDS, exit_status, main
from finegrain.cli.options import given, grid_options
from finegrain.cluster import full
from finegrain.data.images import read_rgb
from finegrain.errors import ConfigError
from finegrain.serving.config import ServingConfig
from tests.conftest import PLATE
from tests.databases import new_database

JOBS = sorted((Path(__file__).parents[2] / "jobs").glob("*.py"))
DEAR = {"torch", "ray", "mlflow", "scipy", "sklearn"}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def refused(capsys, *arguments):
    """What a command says of a mistake, which is one line."""
    with pytest.raises(SystemExit) as ended:
        sys.exit(main(arguments))  # argparse exits by itself
    assert ended.value.code == 2
    said = capsys.readouterr().err.splitlines()
    assert "Traceback" not in said[0]
    return said[-1].partition("error: ")[2]


def test_help_and_wrong_arguments_are_answered_without_torch_or_ray():
    wrong = (["--help"], ["benchmark", "--shots", "x"], ["paper", "--table", "9"],
             ["ablations", "no"], ["search"], ["promote", "--rollback", "pcb"],
             ["serve", "--set", "x"], ["compare"])  # fmt: skip
    code = f"""
import contextlib, sys
from finegrain.cli.main import main
for arguments in {wrong}:
    with contextlib.suppress(SystemExit):
        assert main(arguments) == 2
print("\\n".join(sys.modules))
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stderr.count("error: ") == len(wrong) - 1
    loaded = set(found.stdout.splitlines())
    assert "finegrain.cli.ablations" in loaded
    assert loaded & DEAR == set()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_tells_of_itself(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command.name, "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: finegrain {command.name}")
    assert command.text.splitlines()[0] in said
    assert "{finegrain" not in said


def test_the_help_of_a_benchmark_names_what_there_is(capsys):
    with pytest.raises(SystemExit):
        main(["benchmark", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    for part in ("factory, factory_turned, folder, mvtec", "patchcore",
                 "ViT-B-16-plus-240", "[1 2 4]", "[bundled]",
                 "--backbone MODEL, --clip MODEL", "{seeded,published}"):  # fmt: skip
        assert part in said


def test_every_field_of_the_grid_is_an_option():
    line = """--dataset realiad --data-root data --shot-selection published --views C1 C2
        --clip ViT-B-16 --clip-weights openai --categories a b --methods padim spade:two
        --shots 1 8 --seeds 5 --set padim.epsilon=1 --set spade:two.k=[2] --shot-list list.json
        --captions words --fewer-shots --captions-from photos --good ok --resize fit
        --false-alarms 2.5 --self-check"""
    args = grid_options().parse_args(line.split())
    assert set(given(args, Grid)) == set(Grid.model_fields)
    assert Grid(**given(args, Grid)) == Grid(
        dataset="realiad",
        data_root=Path("data"),
        shot_selection="published",
        fewer_shots=True,
        views=("C1", "C2"),
        backbone="ViT-B-16",
        weights="openai",
        categories=("a", "b"),
        methods=("padim", "spade:two"),
        shots=(1, 8),
        seeds=(5,),
        options=("padim.epsilon=1", "spade:two.k=[2]"),
        shot_list=Path("list.json"),
        captions=Path("words"),
        captions_from="photos",
        good="ok",
        resize="fit",
        alarms_per_100=2.5,
        self_check=True,
    )


def test_what_is_not_given_stays_the_grids_own():
    assert given(grid_options().parse_args([]), Grid) == {}
    fewer = grid_options("shots", defaults={"shots": (4,)}).parse_args([])
    assert vars(fewer) == {"shots": (4,)}
    named = grid_options().parse_args(["--backbone", "resnet18", "--backbone-weights", "hub"])
    assert given(named, Grid) == {"backbone": "resnet18", "weights": "hub"}


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.stem)
def test_a_job_is_its_command(job, monkeypatch, capsys):
    assert job.stat().st_mode & 0o111, f"ray job submit can't start {job}"
    monkeypatch.setattr(sys, "argv", [str(job), "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(job), run_name="__main__")
    assert ended.value.code == 0
    assert "usage: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["serve", "--set", "x"], "--set takes NAME=VALUE; got 'x'"),
        (["serve", "--set", "encoder_cpus=0"], "encoder_cpus: Input should be greater than 0"),
        (["serve", "--set", "speed=1"], "speed: Extra inputs are not permitted, got '1'"),
        (["serve", "--set", "clip=vgg"], "no backbone 'vgg'"),
        (["promote"], "give RUN_ID, --from-benchmark NAME, --rollback or --withdraw"),
        (["promote", "--rollback", "pcb"], "a part is DATASET/CATEGORY, e.g. factory/pcb"),
        (["promote", "run", "--metric", "aupro_30"], "--metric chooses among the trials"),
        (["paper", "--table", "1", "--shot-selection", "x"], "argument --shot-selection: invalid"),
        (["paper", "--table", "1", "--data-root", "visa"], "--data-root takes NAME=VALUE; got"),
        (["search", "--resume", "a", "--seed", "0"], "--resume takes what the search began with"),
        (["search", "--resume", "absent"], "absent holds no search.json"),
        (["search", "--method", "padim", "--metric", "x"], "x"),
        (["benchmark", "--resume", "a", "--views", "C1", "--output", "b"], "leave out views, out"),
        (["tables", "absent"], "holds no benchmark.json"),
        (["record", "absent"], "holds no benchmark.json"),
        (["check", "--dataset", "folder", "--data-root", "absent"], "absent is not a folder"),
        (["caption"], "building needs --endpoint"),
        (["caption", "--from-photos", "absent"], "absent is not a folder"),
        (["study", "photos", "--photographs", "."], "study photos is of the factory"),
        (["regions", "--backbone", "vgg"], "no backbone 'vgg'"),
        (["score", "--model", "none", "a.png"], "none is no checkpoint"),
        (
            ["score", "--model", "folder/none", "a.png", "--tracking-uri", "sqlite:///m.db"],
            "folder/none is no directory and no champion",
        ),
        (["study", "luck"], "invalid choice: 'luck'"),
        (["study", "captions", "--backbone", "vgg"], "no backbone 'vgg'"),
        (["compare", "absent", "--metric", "speed"], "no metric speed"),
        (["exam", "--model", "absent"], "absent"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(capsys, arguments, message):
    assert message in refused(capsys, *arguments)


def test_a_run_that_is_not_there_is_not_promoted(capsys, tmp_path):
    line = ["promote", "a" * 32, "--tracking-uri", new_database(tmp_path)]
    assert "has no checkpoint to promote" in refused(capsys, *line)


def test_only_what_a_user_can_mend_is_caught(capsys):
    def raising(error):
        def work():
            raise error

        return work

    for error in (ConfigError("a wish"), OSError("a disk"), MlflowException("a server")):
        assert exit_status(raising(error)) == 2
        assert f"error: {error}" in capsys.readouterr().err
    with pytest.raises(KeyError):
        exit_status(raising(KeyError("ours")))


def test_serving_options_are_settings():
    assert ServingConfig(tracking_uri="x", max_in_flight="3").max_in_flight == 3


def test_an_ablation_follows_a_changed_grid(plates, tmp_path, monkeypatch):
    captions = tmp_path / "captions"
    captions.mkdir()
    for name in ("plate_a", "plate_b"):
        (captions / f"{name}.json").write_text(json.dumps(PLATE | {"category": name}))
    planned = []

    def run_missing(trials, *rest):
        planned.append(trials)
        *_, report = rest
        for trial in trials:
            report(failed(trial, "not run"))

    monkeypatch.setattr(full, "run_missing", run_missing)
    line = ["ablations", "matching", "--dataset", "folder", "--data-root", str(plates)]
    line += ["--captions", str(captions), "--output", str(tmp_path / "out")]
    assert main([*line, "--seeds", "0", "--shots", "1"]) == 1
    assert main([*line, "--seeds", "0", "1", "--shots", "1", "2"]) == 1
    assert [len(trials) for trials in planned] == [3 * 2, 3 * 2 * 2 * 2]
    stored = json.loads((tmp_path / "out" / "matching" / "benchmark.json").read_text())
    assert (stored["seeds"], stored["shots"]) == ([0, 1], [1, 2])


def test_scoring_names_each_image(plates, tmp_path, capsys):
    """The scores are the saved detector's own; what is no image is named in its row."""
    good = sorted((plates / "plate_a" / "train" / "good").iterdir())
    bad = next((plates / "plate_a" / "test" / "hole").iterdir())
    torn = tmp_path / "torn.png"
    torn.write_bytes(b"no image")
    part = fit(good, method="anomalydino")
    part.save("part")
    assert main(["score", "--model", "part", str(good[0]), str(bad)]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    expected = part.predict([good[0], bad]).image_scores
    assert [float(row["score"]) for row in rows] == pytest.approx(expected, abs=1e-4)
    assert rows[1]["rejected"] == "true"
    assert rows[1]["reason"].startswith("Rejected")
    assert main(["score", "--model", "part", str(torn), str(bad)]) == 1
    first, second = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert "torn.png is not an image" in first["reason"]
    assert second["score"] == rows[1]["score"]


def test_a_folder_is_scored_into_a_file_with_a_picture_of_each(plates, capsys):
    good = plates / "plate_a" / "train" / "good"
    holes = plates / "plate_a" / "test" / "hole"
    fit(sorted(good.iterdir()), method="anomalydino").save("part")
    line = ["score", str(holes), "--model", "part", "--out", "rows.csv", "--heatmaps", "heat"]
    assert main(line) == 0
    rows = list(csv.DictReader(io.StringIO(Path("rows.csv").read_text())))
    assert [Path(row["image"]) for row in rows] == sorted(holes.iterdir())
    assert {row["rejected"] for row in rows} == {"true"}
    pictures = sorted(Path("heat").rglob("*.png"))
    assert [path.name for path in pictures] == [f"{p.name}.png" for p in sorted(holes.iterdir())]
    assert read_rgb(pictures[0]).shape == read_rgb(Path(rows[0]["image"])).shape
    Path("empty").mkdir()
    assert main(["score", "empty", "--model", "part"]) == 2
    assert "empty holds no image" in capsys.readouterr().err


def test_a_study_writes_its_table(plates, tmp_path, capsys):
    """Of matching: the paper's by q, ours by n̄, and one by lot, each fused and as PAD alone."""
    captions = tmp_path / "captions"
    captions.mkdir()
    (captions / "plate_a.json").write_text(json.dumps(PLATE | {"category": "plate_a"}))
    wish = ["--dataset", "folder", "--data-root", str(plates), "--categories", "plate_a"]
    wish += ["--captions", str(captions), "--shots", "1", "--seeds", "0"]
    quick = ("training.epochs=1", "regions.fine_resolution=false")
    wish += [word for option in quick for word in ("--set", f"finegrained.{option}")]
    assert main(["study", "matching", *wish, "--output", "here"]) == 0
    table = Path("here/table.md").read_text()
    assert table in capsys.readouterr().out + "\n"
    shown = {line.split("|")[1].strip() for line in table.splitlines() if line.startswith("|")}
    names = [
        f"{name} {side}" for name in ("query", "prompt", "by lot") for side in ("fused", "PAD")
    ]
    assert shown >= {*names, "VAD"}
    assert main(["study", "captions", *wish]) == 2
    assert "two categories" in capsys.readouterr().err
