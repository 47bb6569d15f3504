"""Tables of many methods stay aligned, and their numbers are means counted by hand."""

from finegrain.tables import Alarms, Row, alarms, by_category, markdown, summary


def test_ten_methods_at_two_shot_numbers_line_up():
    names = [f"method{i}:variant" for i in range(10)]
    rows = [
        Row(category, name, shots, seed, {"image_auroc": 90.0 + seed, "pixel_auroc": None})
        for category in ("bolt", "gear")
        for name in names
        for shots in (1, 4)
        for seed in (0, 1)
    ]
    for table in [summary(rows), *by_category(rows).split("\n\n")]:
        assert len({len(line) for line in table.splitlines()}) == 1
    one, four = by_category(rows).split("\n\n")
    assert [cell.strip() for cell in one.splitlines()[0].strip("|").split("|")] == [
        "1-shot", *names
    ]  # fmt: skip
    assert len(one.splitlines()[2:]) == 2
    assert one.splitlines()[3].split("|")[1:3] == [" gear   ", "        90.5 / – "]
    assert four.startswith("| 4-shot |")


def test_the_rule_of_a_narrow_column_is_still_markdown():
    assert markdown(["a", "p"], [["b", "–"]]).splitlines()[1] == "| -- | -: |"


def test_false_alarms_that_came_stand_beside_those_asked_for():
    came = {("bolt", 0): 4.0, ("bolt", 1): 8.0, ("gear", 0): 0.0, ("gear", 1): 2.0}
    rows = [
        Row(category, "patchcore", 2, seed, {}, alarms=Alarms(5.0, value, 50.0 + value))
        for (category, seed), value in came.items()
    ]
    unmeasured = Row("nut", "patchcore", 2, 0, {}, alarms=Alarms(5.0, None, None))
    header, _, line = alarms([*rows, unmeasured]).splitlines()
    cells = [[cell.strip() for cell in one.strip("|").split("|")] for one in (header, line)]
    assert dict(zip(*cells, strict=True)) == {
        "method": "patchcore", "shots": "2", "asked": "5", "came": "3.5", "highest": "6.0",
        "found": "53.5",
    }  # fmt: skip
    assert alarms([unmeasured]) == ""
