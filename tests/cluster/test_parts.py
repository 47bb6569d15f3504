"""Parts fitted from good photos alone, and put online."""

import shutil

import pytest

from finegrain.captions.store import read_caption
from finegrain.cli.main import main
from finegrain.cluster import full
from finegrain.cluster.parts import find_parts
from finegrain.errors import DatasetError
from finegrain.fitted import load
from finegrain.tracking import Registry
from tests.benchmarks import one_after_the_other
from tests.databases import new_database


@pytest.fixture
def photos(plates, tmp_path):
    """A folder of two parts: two photos of one, five of the other, and nothing else."""
    root = tmp_path / "photos"
    for name, count in (("few", 2), ("many", 5)):
        (root / name).mkdir(parents=True)
        for path in sorted((plates / "plate_a/train/good").iterdir())[:count]:
            shutil.copy(path, root / name)
    return root


def fit(monkeypatch, *arguments, runner=one_after_the_other):
    monkeypatch.setattr(full, "run_missing", runner)
    return main(["fit", *map(str, arguments)])


def test_photos_become_champions_that_judge(monkeypatch, photos, plates, tmp_path, capsys):
    directory = tmp_path / "runs" / "fits"
    uri = new_database(directory.parent)
    arguments = (photos, "--method", "spade", "--most", 4, "--promote", "--output", directory)
    assert fit(monkeypatch, *arguments) == 0
    told = capsys.readouterr().out
    assert "| few  |  spade |      2 |" in told
    assert "| many |  spade |      4 |" in told
    assert "many is fitted on 4 of 5 photos" in told
    assert "many has no test image: it is fitted, not measured" in told
    assert "are missing" not in told
    assert set(Registry(uri).champions()) == {"folder/few", "folder/many"}
    part = load(directory / "trials" / "many_spade_4shot_seed0" / "checkpoint")
    worst = max(plates.glob("plate_a/test/hole/*.png"))
    assert part.inspect(worst).score > part.inspect(photos / "many/000.png").score


def test_a_part_without_a_caption_gets_one_from_its_photos(monkeypatch, photos, tmp_path, capsys):
    """By `finegrain fit` in the trial, and by `finegrain caption` before it, to be edited."""
    directory = tmp_path / "runs" / "fits"
    new_database(directory.parent)
    quick = ("training.epochs=1", "regions.fine_resolution=false")
    method = ("--method", "finegrained", "--most", 2, *(f"--set=finegrained.{q}" for q in quick))
    assert main(["caption", "--from-photos", str(photos / "many"), "--most", "2",
                 "--output", str(tmp_path / "own")]) == 0  # fmt: skip
    edited = tmp_path / "own" / "folder-many.yaml"
    made = read_caption(edited)
    edited.write_text(edited.read_text().replace("stain", "rust"))
    assert (
        fit(monkeypatch, photos, *method, "--captions", edited.parent, "--output", directory) == 0
    )
    assert "few's caption is made from its shots: few with " in capsys.readouterr().out
    few, many = (directory / "trials" / f"{n}_finegrained_2shot_seed0" for n in ("few", "many"))
    caption = load(few / "checkpoint").detector.caption
    assert read_caption(few / "caption.yaml") == caption
    assert caption.provenance.source == "photos"
    shots = load(few / "checkpoint").shots
    assert caption.provenance.shots_sha256 == tuple(shot.sha256 for shot in shots)
    assert not (many / "caption.yaml").exists()
    kept = load(many / "checkpoint").detector.caption
    assert "rust" in kept.defects
    assert kept.components == made.components
    assert made.provenance.shots_sha256 == tuple(s.sha256 for s in load(many / "checkpoint").shots)
    assert main(["caption", "--from-photos", str(photos / "many"), "--output",
                 str(tmp_path / "own")]) == 0  # fmt: skip
    assert "many: kept " in capsys.readouterr().out
    assert read_caption(edited) == kept


def test_what_was_interrupted_is_resumed_and_promoted(monkeypatch, photos, tmp_path, capsys):
    directory = tmp_path / "runs" / "fits"
    uri = new_database(directory.parent)

    def only_first(trials, *rest):
        one_after_the_other(trials[:1], *rest)

    arguments = (photos, "--method", "spade", "--output", directory)
    assert fit(monkeypatch, *arguments, runner=only_first) == 1
    assert "not fitted" in capsys.readouterr().out
    assert fit(monkeypatch, "--resume", directory, "--promote") == 0
    assert "2 trials, 1 of them done before" in capsys.readouterr().out
    assert set(Registry(uri).champions()) == {"folder/few", "folder/many"}


def test_a_photo_that_is_none_fails_its_part_alone(monkeypatch, photos, tmp_path, capsys):
    (photos / "few" / "000.png").write_text("no image")
    directory = tmp_path / "runs" / "fits"
    uri = new_database(directory.parent)
    arguments = (photos, "--method", "spade", "--promote", "--output", directory)
    assert fit(monkeypatch, *arguments) == 1
    assert "few_spade_2shot_seed0: " in capsys.readouterr().out
    assert set(Registry(uri).champions()) == {"folder/many"}


def test_one_folder_of_photos_is_one_part(photos, plates):
    assert find_parts(photos) == (photos, ("few", "many"))
    assert find_parts(photos / "few") == (photos, ("few",))
    assert find_parts(plates / "plate_a") == (plates, ("plate_a",))


def test_photos_beside_parts_and_no_photos_at_all_are_errors(photos, tmp_path):
    shutil.copy(photos / "few" / "000.png", photos)
    with pytest.raises(DatasetError, match=r"photos beside folders of photos \(few, many\)"):
        find_parts(photos)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="holds no category; expected"):
        find_parts(tmp_path / "empty")
    with pytest.raises(DatasetError, match="is not a folder"):
        find_parts(tmp_path / "absent")


@pytest.mark.parametrize("arguments", [(), ("photos", "--resume", "name")])
def test_photos_or_resume(arguments, capsys):
    assert main(["fit", *arguments]) == 2
    assert "give either PHOTOS" in capsys.readouterr().err
