from types import SimpleNamespace
from typing import Any

import numpy as np

from data.store.clip import Attributes
from eval.attributes.groups import group_columns, small_groups_sentence, split_groups


def test_groups_of_fewer_than_ten_people_have_no_result_of_their_own_and_are_named():
    sexes = ["female"] * 14 + ["male"] * 9 + [None]
    dataset: Any = SimpleNamespace(
        identities=range(24),
        attributes=lambda person: Attributes(sexes[person], 25.0 if person < 12 else 62.0, "Norway"),
        voices_of=lambda person: [0, 1],
    )
    large, small = split_groups(group_columns(dataset), np.arange(24))
    # Everybody is from Norway and has several recordings: groups of all people are no groups.
    assert large == [("sex", "female"), ("age", "20-29"), ("age", "60 and over")]
    assert [group.as_json() for group in small] == [
        {"group": "sex", "value": "male", "people": 9, "too_small": True},
        {"group": "sex", "value": "unknown", "people": 1, "too_small": True},
    ]
    assert small_groups_sentence(small).endswith("fewer than 10 people: sex: male (9), sex: unknown (1).")
    assert small_groups_sentence([]) == ""


def test_a_group_is_counted_among_the_people_who_are_measured():
    columns = {"sex": np.array(["female"] * 20 + ["male"] * 20)}
    large, small = split_groups(columns, np.arange(8, 35))
    assert large == [("sex", "female"), ("sex", "male")] and small == []
    large, small = split_groups(columns, np.arange(12, 35))
    assert large == [("sex", "male")] and [group.people for group in small] == [8]
