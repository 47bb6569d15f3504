"""Numbers copied by hand from the paper's tables, not from the file that is tested."""

import pytest

from finegrain.evaluation.published import published_rows

BY_HAND = [  # table, method, data set, shots, variant, resolution -> image, pixel
    ((1, "PaDiM", "mvtec", 1, None, None), (76.6, 89.3)),
    ((1, "FineGrainedAD", "visa", 4, None, None), (86.95, 97.54)),
    ((1, "InCTRL", "visa", 2, None, None), (86.02, None)),
    ((2, "GLASS", "visa", None, None, None), (98.8, 98.8)),
    ((2, "PaDiM", "visa", 16, None, None), (78.6, 95.8)),
    ((3, "FineGrainedAD", "visa", 4, "none", None), (82.88, 95.15)),
    ((4, "FineGrainedAD", "mvtec", 4, "multi-level+token-wise", None), (94.37, 96.24)),
    ((5, "FineGrainedAD", "visa", 4, None, 336), (87.54, 97.88)),
    ((6, "PromptAD", "realiad", 2, None, None), (85.33, 96.53)),
]


@pytest.mark.parametrize(("key", "scores"), BY_HAND)
def test_a_published_number_is_the_papers(key, scores):
    table, *rest = key
    found = [
        (row.image_auroc, row.pixel_auroc)
        for row in published_rows(table)
        if [row.method, row.dataset, row.shots, row.variant, row.resolution] == rest
    ]
    assert found == [scores]


def test_each_table_has_its_rows():
    # Table 1: six methods at 2 × 3 settings, AnomalyGPT and KAG-Prompt as well, InCTRL and ResAD
    # at 2 × 2, RegAD at 2.
    counts = [len(published_rows(table)) for table in range(1, 7)]
    assert counts == [6 * 6 + 2 * 6 + 2 * 4 + 2, 7, 5, 5 * 2, 7, 3 * 3]
    assert len(published_rows()) == sum(counts)


def test_a_row_says_what_its_measured_run_is_called():
    names = {row.method: row.measured_as for row in published_rows(1)}
    assert (names["WinCLIP+"], names["PaDiM"], names["ResAD"]) == ("winclip", "padim", "ResAD")
    assert published_rows(4)[-1].measured_as == "finegrained:all"
    assert published_rows(6)[-1].measured_as == "finegrained:paper"
    settings = [row.setting for row in published_rows(2)]
    assert settings[:3] == ["1-shot", "4-shot", "8-shot"]
    assert settings[-1] == "full-shot"
