import collections
import unicodedata

import pytest

from data.errors import ConfigError
from data.store.split import assign_split, hash_assignment, normalise_identity


def test_a_person_stays_in_their_split_on_every_machine_and_in_every_version() -> None:
    names = [f"person_{i}" for i in range(8)]
    golden = ["test", "train", "train", "val", "train", "train", "train", "train"]
    assert [assign_split(name) for name in names] == golden


def test_a_name_has_one_split_in_whatever_unicode_form() -> None:
    for name in (f"Zoë Müller {i}" for i in range(20)):
        forms = {unicodedata.normalize(form, name) for form in ("NFC", "NFD")}
        assert len(forms) == 2
        assert len({assign_split(form) for form in forms}) == len({normalise_identity(form) for form in forms}) == 1


def test_splits_have_about_the_shares_asked_for() -> None:
    counts = collections.Counter(assign_split(f"p{i}", seed=3, fractions=(0.6, 0.1, 0.3)) for i in range(5000))
    assert abs(counts["train"] / 5000 - 0.6) < 0.03
    assert abs(counts["val"] / 5000 - 0.1) < 0.02


def test_another_seed_splits_otherwise() -> None:
    names = [f"p{i}" for i in range(100)]
    assert [assign_split(n, 0) for n in names] != [assign_split(n, 1) for n in names]


def test_a_share_of_nothing_gets_nobody() -> None:
    assert {assign_split(f"p{i}", fractions=(1, 0, 0)) for i in range(300)} == {"train"}
    assert {assign_split(f"p{i}", fractions=(0, 0, 1)) for i in range(300)} == {"test"}


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (0.5, 0.6, -0.1), (0.5, 0.5, 0.5), (float("nan"), 0.5, 0.5)])
def test_shares_that_are_none_are_refused(fractions: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="sum to 1"):
        assign_split("x", fractions=fractions)


def test_the_hash_of_an_assignment_ignores_its_order_and_sees_a_change() -> None:
    assert hash_assignment({"a": "train", "b": "test"}) == hash_assignment({"b": "test", "a": "train"})
    assert hash_assignment({"a": "train", "b": "test"}) != hash_assignment({"a": "train", "b": "val"})
