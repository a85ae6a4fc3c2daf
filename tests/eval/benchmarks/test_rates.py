from __future__ import annotations

import pytest

from eval.benchmarks.rates import Measurement, compare, describe_ratios, describe_shares, shares_of, steady_rate


def test_neither_the_first_nor_the_last_clips_count() -> None:
    # Five seconds to start, a clip every half second, and a last one that came late.
    moments = [5.0, 5.5, 6.0, 6.5, 7.0, 20.0]
    assert steady_rate(moments, num_first=1, num_last=1) == pytest.approx(2.0)
    assert steady_rate(list(reversed(moments)), num_first=1, num_last=1) == pytest.approx(2.0)


def test_two_workers_that_end_clips_by_turns_are_twice_as_fast() -> None:
    one = [3.0 + i for i in range(20)]
    two = sorted([3.0 + i for i in range(10)] + [4.4 + i for i in range(10)])
    assert steady_rate(two, 4, 2) == pytest.approx(2 * steady_rate(one, 4, 2), rel=0.05)


@pytest.mark.parametrize(("num_first", "num_last"), [(0, 0), (2, 1), (3, 0), (1, 5)])
def test_too_few_clips_for_a_rate_are_refused(num_first: int, num_last: int) -> None:
    with pytest.raises(ValueError, match="3 clips"):
        steady_rate([1.0, 2.0, 3.0], num_first, num_last)


def test_ratios_are_taken_within_rounds_and_shares_add_up() -> None:
    plain, ours = Measurement("plain"), Measurement("ours")
    for slow in (1.0, 4.0):  # the second round falls into a busy minute
        plain.add(0.5 / slow, {"cut": 3.0 * slow, "faces": 1.0 * slow})
        ours.add(2.0 / slow, {"faces": 1.0})
    assert compare(ours, plain) == pytest.approx([4.0, 4.0])
    assert describe_ratios([3.0, 5.0, 4.0]) == "4.00 (3.00 .. 5.00)" and describe_ratios([2.0]) == "2.00"
    assert shares_of(plain.seconds) == pytest.approx({"cut": 0.75, "faces": 0.25})
    assert describe_shares(shares_of(plain.seconds)) == "cut 75 %, faces 25 %"
    assert shares_of({}) == {}
