"""Parts fitted from good photos alone, and put online."""

import shutil

import pytest

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
