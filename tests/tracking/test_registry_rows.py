"""Rows of the registry that nobody of ours wrote: they lead nowhere, and spoil no other."""

import logging

import pytest

from finegrain.checkpoint import CONFIG, WEIGHTS
from finegrain.errors import CheckpointError
from tests.tracking.test_registry import Place

TAGS = {"finegrain.dataset": "folder", "finegrain.category": "plate"}


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path / "registry")


def served(place):
    return {key: champion.version for key, champion in place.registry.champions().items()}


def test_a_version_that_names_another_place_is_refused_and_nothing_leaves_the_cache(
    place, tmp_path
):
    champion = place.registry.promote(place.run())
    stored = place.folder / "artifacts" / place.registry.run_of(champion) / "artifacts"
    own = place.registry.run_of(champion)
    for run, source in (
        ("x/../../../escaped", f"runs:/{own}/checkpoint"),
        ("x/../../../escaped", "runs:/x/../../../escaped/checkpoint"),
        (own, (stored / "checkpoint").as_uri()),
        (own, f"runs:/{own}/photos"),
        (own, f"runs:/{'0' * 32}/checkpoint"),
        ("", f"runs:/{own}/checkpoint"),
    ):
        made = place.client.create_model_version(champion.model, source=source, run_id=run)
        with pytest.raises(CheckpointError, match=r"needed is runs:/RUN_ID/checkpoint"):
            place.registry.fetch(champion, str(made.version), tmp_path / "a" / "b" / "cache")
    assert not list(tmp_path.rglob("escaped*"))
    assert not (tmp_path / "a").exists()


def test_the_cache_takes_the_two_files_of_a_checkpoint_and_no_other(place, tmp_path):
    run = place.run("..")  # a name with a meaning of its own
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "other.py").write_text("print('hello')")
    place.client.log_artifacts(run, str(tmp_path / "more"), "checkpoint")
    champion = place.registry.promote(run)
    kept = place.registry.fetch(champion, champion.version, tmp_path / "cache")
    assert sorted(path.name for path in kept.iterdir()) == [CONFIG, WEIGHTS]
    assert kept.parent == tmp_path / "cache"
    assert kept.name.isalnum()


def test_a_foreign_model_with_our_tags_moves_no_champion(place):
    for _ in range(3):
        last = place.registry.promote(place.run())
    place.client.create_registered_model("aaa", tags=TAGS)
    place.client.create_registered_model("zzz", tags=TAGS)
    for name in ("aaa", "zzz"):
        made = place.client.create_model_version(name, source="s3://elsewhere/x")
        place.client.set_registered_model_alias(name, "champion", made.version)
    assert served(place) == {"folder/plate": "3"}
    assert place.registry.champion("folder", "plate") == last


SPOILT = {
    "no category": lambda client, name: client.delete_registered_model_tag(
        name, "finegrain.category"
    ),
    "a history that is no JSON": lambda client, name: client.set_registered_model_tag(
        name, "finegrain.champions", "[1,"
    ),
    "a history of something else": lambda client, name: client.set_registered_model_tag(
        name, "finegrain.champions", '{"1": "../2"}'
    ),
    "false alarms in words": lambda client, name: client.set_registered_model_tag(
        name, "finegrain.false_alarms.1", "few"
    ),
    "false alarms beyond all": lambda client, name: client.set_registered_model_tag(
        name, "finegrain.false_alarms.1", "1e9"
    ),
}


@pytest.mark.parametrize("fault", SPOILT)
def test_a_spoilt_row_is_told_once_and_spoils_no_other(place, fault, caplog):
    good = place.registry.promote(place.run("bolt"))
    place.registry.promote(place.run())
    SPOILT[fault](place.client, "finegrain-folder-plate")
    with caplog.at_level(logging.WARNING):
        found = [place.registry.champions() for _ in range(2)][-1]
    assert found["folder/bolt"] == good
    told = [
        record.message for record in caplog.records if "finegrain-folder-plate" in record.message
    ]
    assert len(told) == 1
    if fault == "no category":  # nothing says whose it is
        assert "folder/plate" not in found
        return
    assert place.registry.champion("folder", "plate") == found["folder/plate"]
    assert (found["folder/plate"].version, found["folder/plate"].earlier) == ("1", ())
    assert found["folder/plate"].false_alarms is None
