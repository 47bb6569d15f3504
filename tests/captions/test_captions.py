"""The record, its closed lists, the templates and the library."""

from copy import deepcopy

import pytest
import yaml
from pydantic import ValidationError

from finegrain.captions import Caption, CaptionStore
from finegrain.captions.store import read_caption
from finegrain.captions.vocabulary import base_values, find_value, unknown_values
from finegrain.errors import ConfigError
from tests.conftest import PLATE

MVTEC = "bottle cable capsule carpet grid hazelnut leather metal_nut pill screw tile toothbrush"
MVTEC = (MVTEC + " transistor wood zipper").split()


def changed(change):
    record = deepcopy(PLATE)
    change(record)
    return record


def set_component(key, value):
    return lambda record: record["components"][0].update({key: value})


def test_values_join_with_and_or_with():
    assert base_values("red and yellow or blue with white") == ["red", "yellow", "blue", "white"]
    assert unknown_values("color", "red and ultraviolet") == ["ultraviolet"]
    assert not unknown_values("texture", "smooth with threaded")


def test_values_are_found_as_whole_words():
    assert find_value("a reddish red ring", "color", "red") == (10, 13)
    assert find_value("two bolts", "number", "2") == (0, 3)
    assert find_value("a semi-circular lid", "shape", "circular") is None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (set_component("color", "ultraviolet"), "not in the list"),
        (set_component("color", "black"), "word for word"),
        (set_component("number", "1 and 2"), "single value"),
        (set_component("name", "lid"), "must name"),
        (lambda r: r.update(components=[]), "at least 1"),
        (lambda r: r.update(components=r["components"] * 5), "at most 8"),
        (lambda r: r.update(defects=["hole", "hole"]), "named twice"),
        (lambda r: r.update(summary=" "), "at least 3"),
        (lambda r: r.update(colour="red"), "Extra inputs"),
        (lambda r: r.pop("background"), "Field required"),
    ],
)
def test_what_a_caption_must_hold(change, told):
    with pytest.raises(ValidationError, match=told):
        Caption.model_validate(changed(change))


def test_the_library_captions_every_published_category():
    store = CaptionStore(None)
    names = {}
    for caption in store:
        names.setdefault(caption.dataset, []).append(caption.category)
    assert sorted(names["mvtec"]) == sorted(MVTEC)
    assert {name: len(found) for name, found in names.items()} == {
        "factory": 8, "mvtec": 15, "visa": 12, "realiad": 30, "folder": 1,
    }  # fmt: skip
    assert {c.provenance.facts for c in store if c.dataset == "realiad"} == {"unverified"}
    for caption in store:
        for component in caption.components:
            assert component.caption in caption.summary


def test_turned_parts_have_the_captions_of_the_others(tmp_path):
    assert CaptionStore(None).get("factory_turned", "gear").key == "factory/gear"
    mine = {**deepcopy(PLATE), "dataset": "factory_turned", "category": "gear"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(mine))
    assert CaptionStore(tmp_path).get("factory_turned", "gear").foreground == "plate"
    assert CaptionStore(tmp_path).get("factory", "gear").foreground == "gear"
    assert CaptionStore(None).find("factory_turned", "bottle") is None


def test_a_folder_goes_before_the_library(tmp_path):
    mine = {**deepcopy(PLATE), "dataset": "mvtec", "category": "bottle"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(mine))
    assert CaptionStore(tmp_path).get("mvtec", "bottle").foreground == "plate"
    assert CaptionStore(None).get("mvtec", "bottle").foreground == "bottle"
    (tmp_path / "again.yaml").write_text(yaml.safe_dump(mine))
    with pytest.raises(ConfigError, match="second caption"):
        CaptionStore(tmp_path)


def test_what_is_missing_or_unreadable_is_told(tmp_path):
    with pytest.raises(ConfigError, match="zipper") as told:
        CaptionStore(None).get("mvtec", "spoon")
    assert "--captions" in str(told.value)
    assert CaptionStore(None).get("folder", "bottle").dataset == "mvtec"  # the one of that name
    with pytest.raises(ConfigError, match="no folder"):
        CaptionStore(tmp_path / "nowhere")
    for text in ("a: [", "just words", "\x00"):
        path = tmp_path / "bad.yaml"
        path.write_text(text)
        with pytest.raises(ConfigError, match=r"bad\.yaml"):
            read_caption(path)
