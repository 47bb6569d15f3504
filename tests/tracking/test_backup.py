"""A backup of MLflow on SQLite, and what a damaged or misplaced one is answered."""

import shutil

import pytest

from finegrain.cli.main import main
from finegrain.tracking.runs import open_client
from tests.databases import NAME, new_database


@pytest.fixture
def recorded(tmp_path):
    """The database's URI, its artifacts and the id of a run in it."""
    uri = new_database(tmp_path)
    artifacts = tmp_path / "artifacts"
    (artifacts / "part").mkdir(parents=True)
    (artifacts / "part" / "config.json").write_text("{}")
    client = open_client(uri)
    run = client.create_run(client.create_experiment("finegrain")).info.run_id
    client.log_metric(run, "image_auroc", 97.5)
    return uri, artifacts, run


def test_what_was_backed_up_comes_back(recorded, tmp_path, capsys):
    uri, artifacts, run = recorded
    assert main(["backup", uri, str(artifacts), str(tmp_path / "backups")]) == 0
    made = capsys.readouterr().out.strip()
    new, place = f"sqlite:///{tmp_path / 'new' / NAME}", tmp_path / "new" / "artifacts"
    assert main(["restore", made, new, str(place)]) == 0
    assert open_client(new).get_run(run).data.metrics == {"image_auroc": 97.5}
    assert (place / "part" / "config.json").read_text() == "{}"
    assert main(["restore", made, new, str(tmp_path / "other")]) == 2
    assert "restore into a new file" in capsys.readouterr().err
    assert main(["restore", made, "sqlite:///x.db", str(place)]) == 2
    assert "restore into an empty folder" in capsys.readouterr().err


def test_a_damaged_backup_changes_nothing(recorded, tmp_path, capsys):
    uri, artifacts, _ = recorded
    main(["backup", uri, str(artifacts), str(tmp_path / "backups")])
    made = tmp_path / "backups" / capsys.readouterr().out.strip().rpartition("/")[2]
    with (made / "artifacts.tar").open("r+b") as archive:
        archive.seek(600)
        archive.write(b"x")
    new = tmp_path / "new.db"
    assert main(["restore", str(made), f"sqlite:///{new}", str(tmp_path / "new")]) == 2
    assert "artifacts.tar is not what was backed up" in capsys.readouterr().err
    (made / "backup.json").unlink()
    assert main(["restore", str(made), f"sqlite:///{new}", str(tmp_path / "new")]) == 2
    assert "is no whole backup" in capsys.readouterr().err
    assert not new.exists()
    assert not (tmp_path / "new").exists()


def test_the_newest_are_kept(recorded, tmp_path):
    uri, artifacts, _ = recorded
    folder = tmp_path / "backups"
    main(["backup", uri, str(artifacts), str(folder)])
    [made] = folder.iterdir()
    for name in ("20200101-000000", "20210101-000000"):
        shutil.copytree(made, folder / name)
    (folder / "mine").mkdir()
    made.rename(folder / "20220101-000000")
    assert main(["backup", uri, str(artifacts), str(folder), "--keep", "2"]) == 0
    left = sorted(path.name for path in folder.iterdir())
    assert left[0] == "20220101-000000"
    assert left[2] == "mine"
    assert len(left) == 3
