"""Losses against numbers worked out by hand."""

import math

import pytest
import torch

from finegrain.pretraining.objectives import condition, contrast, pooled_regions


def test_contrast_by_hand() -> None:
    logits = torch.tensor([[2.0, 0.0], [1.0, 3.0]])
    truth = torch.eye(2, dtype=torch.bool)
    rows = (math.log(1 + math.exp(0 - 2)) + math.log(1 + math.exp(1 - 3))) / 2
    columns = (math.log(1 + math.exp(1 - 2)) + math.log(1 + math.exp(0 - 3))) / 2
    assert contrast(logits, truth).item() == pytest.approx((rows + columns) / 2, abs=1e-6)


def test_duplicates_are_positives_of_each_other() -> None:
    """Rows 0 and 1 and statements 0 and 1 are the same thing; only statement 2 is false of them."""
    logits = torch.tensor([[5.0, 4.0, 1.0], [5.0, 4.0, 1.0], [0.0, 0.0, 2.0]])
    truth = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=torch.bool)

    def lost(positive: float, *negatives: float) -> float:
        return -math.log(
            math.exp(positive) / (math.exp(positive) + sum(math.exp(n) for n in negatives))
        )

    twin = (lost(5, 1) + lost(4, 1)) / 2
    rows = (twin + twin + lost(2, 0, 0)) / 3
    columns = (lost(5, 0) + lost(4, 0) + lost(2, 1, 1)) / 3
    assert contrast(logits, truth).item() == pytest.approx((rows + columns) / 2, abs=1e-6)


def test_a_statement_without_a_true_row_is_only_a_negative() -> None:
    logits = torch.tensor([[1.0, 2.0]])
    truth = torch.tensor([[True, False]])
    row, column = math.log(1 + math.exp(2 - 1)), 0.0
    assert contrast(logits, truth).item() == pytest.approx((row + column) / 2, abs=1e-6)


def test_condition_weighs_both_classes_the_same() -> None:
    difference = torch.tensor([0.0, 0.0, 0.0, 2.0])
    faulty = torch.tensor([False, False, False, True])
    expected = (math.log(2) + math.log(1 + math.exp(-2))) / 2
    assert condition(difference, faulty).item() == pytest.approx(expected, abs=1e-6)


def test_regions_are_weighted_means_of_unit_norm() -> None:
    patches = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]])
    pooled = pooled_regions(patches, torch.tensor([[[3.0, 4.0, 0.0], [1.0, 0.0, 0.0]]]))
    assert torch.allclose(pooled, torch.tensor([[[0.6, 0.8], [1.0, 0.0]]]))


def test_condition_of_nothing_is_zero() -> None:
    assert condition(torch.empty(0), torch.empty(0, dtype=torch.bool)).item() == 0
