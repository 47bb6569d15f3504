"""Controls on two small categories, and captions that say what they should."""

import math

import pytest

from finegrain.captions import Caption, CaptionStore
from finegrain.cli.study import REFERENCE
from finegrain.data import load_category
from finegrain.errors import ConfigError
from finegrain.method.units import caption_units, contrary_values
from finegrain.studies.controls import CLAIMS, EMPTY, GENERIC, contrary, run_controls
from tests.conftest import PLATE

CAPTION = Caption.model_validate(PLATE)
QUICK = {"training": {"epochs": 1}, "regions": {"fine_resolution": False}}


@pytest.mark.parametrize("caption", list(CaptionStore(None))[:8], ids=lambda c: c.key)
def test_a_contrary_caption_contradicts_every_attribute(caption):
    other = contrary(caption, seed=0)
    for said, denied in zip(caption.components, other.components, strict=True):
        assert said.name == denied.name
        for name, value in said.told.items():
            assert denied.told[name] in contrary_values(name, value)


def test_the_empty_caption_says_no_attribute():
    units = caption_units(EMPTY)
    assert {unit.sentence for unit in units} == {"object"}
    assert not any(unit.values for unit in units)
    assert [unit.defects for unit in units] == [("defect",)] * 3
    assert all(unit.values for unit in caption_units(GENERIC))


@pytest.mark.parametrize(
    ("claim", "reference", "names"),
    [
        ("captions", "own", {"own", "swapped", "contrary", "generic", "empty"}),
        ("regions", "found", {"found", "scattered"}),
        ("matching", "query", {"query", "prompt", "by lot"}),
    ],
)
def test_controls_are_measured_on_every_category(claim, reference, names, backbone, plates):
    categories = [load_category("folder", plates, name) for name in ("plate_a", "plate_b")]
    captions = {category.name: CAPTION for category in categories}
    found = run_controls(claim, backbone, categories, captions, shots=1, seeds=[0], options=QUICK)
    rows = [one.row for one in found.measured]
    expected = {f"{name} {side}" for name in names for side in ("fused", "PAD")} | {"VAD"}
    assert {row.method for row in rows} == expected
    assert len(rows) == 2 * len(expected)
    assert all(0 <= row.scores["image_auroc"] <= 100 for row in rows)
    mean = {
        row.method: sum(r.scores["pixel_auroc"] for r in rows if r.method == row.method) / 2
        for row in rows
    }
    for one in found.against(f"{reference} fused"):
        if one.metric == "pixel_auroc" and one.difference is not None:
            expected = mean[one.method] - mean[f"{reference} fused"]
            assert math.isclose(one.difference, expected, abs_tol=1e-6)
    assert f"| {reference} PAD" in found.table(f"{reference} fused")


def test_an_unknown_claim_lists_the_known(backbone):
    with pytest.raises(ConfigError, match="captions, regions, matching"):
        run_controls("luck", backbone, [], {}, shots=1, seeds=[0])


def test_the_command_knows_every_claim():
    assert tuple(REFERENCE) == CLAIMS
