"""Tables about groups of people, from the parts of reports."""

from typing import Any

from eval.pages.model.groups import show_craniofacial, show_groups


def group(space: str, value: str, recall: float) -> dict[str, Any]:
    return {
        "space": space,
        "group": "sex",
        "value": value,
        "identities": 12,
        "recall": {"1": 0.1, "10": recall},
        "ci95": {"1": (0.0, 0.2), "10": (recall - 0.1, recall + 0.1)},
        "chance": {"1": 0.01, "10": 0.1},
    }


def test_groups_are_shown_in_the_last_space_and_small_ones_without_a_number():
    small = [{"group": "age", "value": "under 20", "people": 3, "too_small": True}]
    report = {"groups": [group("joint", "male", 0.5), group("image", "male", 0.4)], "small_groups": small}
    table = show_groups(report)
    assert table is not None and table.header[1] == "R@10 in %, image space (chance 10.0)"
    assert table.rows == [
        ["sex: male", "40.0 (30.0 to 50.0)", "12"],
        ["age: under 20", "too small: fewer than 10 people", "3"],
    ]
    assert show_groups({"groups": []}) is None  # an older report


def test_ratios_are_shown_with_their_bound_and_too_few_people_without_a_number():
    row = {"measure": "nasal index", "people": 40, "too_small": False, "correlation": 0.31, "ci95": (0.1, 0.5)}
    few = {**row, "people": 4, "too_small": True, "correlation": None, "photographs": None}
    report: dict[str, Any] = {"attributes": {"craniofacial": {"rows": [{**row, "photographs": 0.7}, few]}}}
    table = show_craniofacial(report)
    assert table is not None and table.rows == [
        ["nasal index", "0.31 (0.10 to 0.50)", "0.70", "40"],
        ["nasal index", "too small: fewer than 10 people", "", "4"],
    ]
    assert show_craniofacial({"attributes": {}}) is None
