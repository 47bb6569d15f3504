"""Paired differences, their intervals and tests, against what is counted by hand."""

import csv
import io
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from finegrain.errors import ConfigError
from finegrain.evaluation.compare import (
    Expense,
    Measurement,
    compare,
    interval,
    mean_expense,
    paired_test,
)
from finegrain.studies.compare.tables import csv_text, published_lines, source_note, text
from finegrain.tables import Row

NOTHING = Expense()


def measured(method, scores, shots=1, cost=NOTHING):
    """Trials from {(category, seed): score}."""
    return [
        Measurement(Row(category, method, shots, seed, {"image_auroc": score}), cost)
        for (category, seed), score in scores.items()
    ]


def only(found, method):
    (one,) = [one for one in found if one.method == method]
    return one


A = {("bolt", 0): 80.0, ("bolt", 1): 82.0, ("gear", 0): 90.0, ("gear", 1): 70.0, ("pcb", 0): 60.0}
B = {("bolt", 0): 85.0, ("bolt", 1): 81.0, ("gear", 0): 90.02, ("gear", 1): 70.0,
     ("pcb", 0): None, ("pcb", 1): 99.0, ("nut", 0): 50.0, ("cap", 0): 40.0}  # fmt: skip


def image_auroc(reference="a", **more):
    rows = measured("a", A | {("cap", 0): 44.0}) + measured("b", B)
    return compare(rows, reference, metrics=["image_auroc"], **more)


def test_differences_are_of_pairs_alone_and_counted_by_hand():
    one = only(image_auroc(), "b")
    assert one.by_category == pytest.approx({"bolt": 2.0, "cap": -4.0, "gear": 0.01})
    assert one.difference == pytest.approx((2.0 - 4.0 + 0.01) / 3)
    assert one.reference_mean == pytest.approx((81 + 80 + 44) / 3)
    assert one.mean == pytest.approx(one.reference_mean + one.difference)
    assert (one.pairs, one.left_out) == (5, 3)  # pcb of seeds 0 and 1, nut
    assert one.wins_ties_losses == (1, 1, 1)
    assert one.worst == ("cap", pytest.approx(-4.0))
    assert one.p_value is None  # three categories


def test_the_reference_has_the_mean_of_all_its_results_and_comes_first():
    found = image_auroc()
    assert [one.method for one in found] == ["a", "b"]
    assert found[0].mean == pytest.approx((81 + 44 + 80 + 60) / 4)
    assert (found[0].difference, found[0].interval, found[0].worst) == (None, None, None)


def test_the_order_of_rows_and_other_methods_change_nothing():
    rows = measured("a", A) + measured("b", B)
    one = only(compare(rows, "a", metrics=["image_auroc"], resamples=200), "b")
    rows += measured("0", A) + measured("a", A, shots=2) + measured("b", B, shots=2)
    again = compare(rows[::-1], "a", metrics=["image_auroc"], resamples=200)
    assert [found for found in again if (found.method, found.shots) == ("b", 1)] == [one]


def test_turned_round_the_difference_changes_its_sign():
    one, turned = only(image_auroc("a"), "b"), only(image_auroc("b"), "a")
    assert turned.difference == pytest.approx(-one.difference)
    assert turned.wins_ties_losses == one.wins_ties_losses[::-1]
    assert turned.worst == ("bolt", pytest.approx(-2.0))


def test_no_pair_is_undefined_not_zero():
    rows = measured("a", {("bolt", 0): 50.0}) + measured("b", {("bolt", 1): 60.0})
    one = only(compare(rows, "a", metrics=["image_auroc"]), "b")
    assert (one.pairs, one.left_out, one.mean, one.difference) == (0, 2, None, None)
    assert (one.interval, one.worst, one.wins_ties_losses) == (None, None, None)
    rows = measured("a", {("bolt", 0): 50.0}, shots=2) + measured("b", {("bolt", 0): 60.0})
    assert only(compare(rows, "a", metrics=["image_auroc"]), "b").left_out == 1


def test_what_is_wrong_is_told():
    with pytest.raises(ConfigError, match="no method 'c' to compare with; there are a, b"):
        image_auroc("c")
    with pytest.raises(ConfigError, match="at least 1 resample; got 0"):
        image_auroc(resamples=0)
    rows = measured("a", A) + measured("a", A) + measured("b", B)
    with pytest.raises(ConfigError, match="a has two results of bolt, seed 0"):
        compare(rows, "a", metrics=["image_auroc"])


def generator():
    return np.random.default_rng(3)


def test_equal_differences_have_an_interval_without_width_and_one_pair_has_none():
    assert interval([[2.0, 2.0], [2.0]], generator(), 50) == (2.0, 2.0)
    assert interval([[2.0]], generator(), 50) is None


def test_a_constant_shifts_the_interval_by_itself():
    found = interval([[1.0, 4.0, 2.0], [-3.0], [0.5, 7.0]], generator(), 300)
    shifted = interval([[11.0, 14.0, 12.0], [7.0], [10.5, 17.0]], generator(), 300)
    assert shifted == pytest.approx((found.low + 10, found.high + 10))
    assert found.low < (7 / 3 - 3 + 3.75) / 3 < found.high


def test_the_interval_is_the_middle_of_all_equally_likely_draws():
    by_category = [[0.0, 1.0], [4.0], [10.0, 13.0]]
    seeds = [[np.mean(draw) for draw in product(one, repeat=len(one))] for one in by_category]
    means = [  # each category drawn 1 time in 3, each of its draws of seeds as often as any other
        (a + b + c) / 3
        for chosen in product(seeds, repeat=3)
        for a, b, c in product(*([v for v in one for _ in range(4 // len(one))] for one in chosen))
    ]
    low, high = interval(by_category, generator(), 40_000)
    assert (low, high) == pytest.approx(np.percentile(means, [2.5, 97.5]), abs=0.15)


def test_a_category_of_few_seeds_weighs_as_much_as_one_of_many():
    few = interval([[0.0], [6.0] * 5], generator(), 20_000)
    assert few == (0.0, 6.0)
    assert interval([[0.0, 0.0], [6.0]], generator(), 20_000) == (0.0, 6.0)


def test_the_paired_test_is_exact_for_few_categories():
    assert paired_test([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) == pytest.approx(2 / 2**6)
    # ranks 1 2 3 4 5, the negative one of rank 1: 2 of 32 sign patterns have a sum of 1 or less
    assert paired_test([-1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(4 / 2**5)
    assert paired_test([1.0, 2.0, 3.0, 4.0]) is None
    assert paired_test([0.0] * 8) is None


def test_rounding_errors_rank_nothing():
    assert paired_test([1e-14, -1e-14, 0.0, 0.0, 0.0]) is None
    exact = paired_test([0.1, 0.1, -0.1, 0.2, 0.3])
    assert paired_test([0.1, 0.3 - 0.2, 0.2 - 0.3, 0.2, 0.3]) == exact


def test_costs_are_means_of_what_is_known():
    costs = [Expense(1.0, None, 4.0, 10.0), Expense(3.0, None, None, 30.0)]
    assert mean_expense(costs) == Expense(2.0, None, 4.0, 20.0)
    assert mean_expense([]) == Expense()


def test_the_tables_line_up_and_say_what_is_undefined():
    rows = measured("a", A, cost=Expense(1.5, 20.0, 3.0)) + measured("b", B)
    found = compare(rows, "a", metrics=["image_auroc", "pixel_auroc"], resamples=200)
    shown = text(found, "a")
    for table in [part for part in shown.split("\n\n") if part.startswith("|")]:
        assert len({len(line) for line in table.splitlines()}) == 1
    lines = [[c.strip() for c in line.split("|")[1:-1]] for line in shown.splitlines()]
    (line,) = [line for line in lines if line[:1] == ["b"] and line[4:5] == ["+1.0"]]
    assert line[7:] == ["1/1/0", "gear +0.0", "4", "4"]
    assert ["b", "1", *["–"] * 8, "8"] in lines  # no pixel AUROC at all
    assert ["a", "1", "1.50", "20.0", "3.0", "–"] in lines
    assert ["bolt", "+2.0"] in lines


def test_the_csv_has_a_line_for_each_and_nothing_where_undefined():
    found = image_auroc(resamples=200)
    a, b = csv.DictReader(io.StringIO(csv_text(found)))
    assert (a["method"], a["difference"], a["wins"], a["fit_seconds"]) == ("a", "", "", "")
    assert (b["method"], b["difference"], b["worst_category"]) == ("b", "-0.6633", "cap")
    assert (b["wins"], b["ties"], b["losses"], b["p_value"]) == ("1", "1", "1", "")
    assert float(b["low"]) <= -0.6633 <= float(b["high"])


def test_published_lines_are_marked_and_have_no_pairs():
    lines = published_lines("visa", [4])
    (own,) = [line for line in lines if line.measured_as == "finegrained:paper"]
    assert (own.image_auroc, own.pixel_auroc, own.shots) == (86.95, 97.54, 4)
    found = image_auroc(resamples=20)
    cells = [line.split("|") for line in text(found, "a", lines).splitlines() if "†" in line]
    (line,) = [[c.strip() for c in one[1:-1]] for one in cells if "finegrained" in one[1]]
    assert line == ["finegrained:paper †", "4", "86.95", *["–"] * 8]
    assert "published †,image_auroc,finegrained:paper,4,86.95," in csv_text(found, lines)
    assert published_lines("factory", [4]) == []
    assert source_note("factory", []).startswith("None published for factory")


def test_the_seed_decides_the_interval_and_nothing_else():
    scores = np.random.default_rng(0).normal(80, 5, 16)
    keys = list(product("abcdefgh", (0, 1)))
    rows = measured("b", dict(zip(keys, scores, strict=True)))
    rows += measured("a", dict.fromkeys(keys, 75.0))
    one, same, other = (
        only(compare(rows, "a", metrics=["image_auroc"], resamples=100, seed=seed), "b")
        for seed in (1, 1, 2)
    )
    assert one == same
    assert one.interval != other.interval
    assert replace(one, interval=None) == replace(other, interval=None)
