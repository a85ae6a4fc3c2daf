import itertools

import pytest

from data.errors import ConfigError
from data.store.sampling import IdentityBatches, PersonDraw


def first(batches: IdentityBatches, steps: int) -> list:
    return list(itertools.islice(batches, steps))


def test_resuming_at_a_step_gives_the_batches_that_would_have_come() -> None:
    whole = first(IdentityBatches(range(10), 4, seed=1), 12)
    assert first(IdentityBatches(range(10), 4, seed=1, start_step=5), 7) == whole[5:]


@pytest.mark.parametrize("num_processes", [2, 4])
def test_the_processes_share_the_same_batch(num_processes: int) -> None:
    whole = first(IdentityBatches(range(30), 8, seed=1), 9)
    shares = [
        first(IdentityBatches(range(30), 8, seed=1, rank=rank, num_processes=num_processes), 9)
        for rank in range(num_processes)
    ]
    assert [[draw for part in parts for draw in part] for parts in zip(*shares, strict=True)] == whole


def test_nobody_is_twice_in_a_batch_and_everybody_is_drawn_equally_often() -> None:
    counts = dict.fromkeys(range(11), 0)
    for batch in first(IdentityBatches(range(11), 4, seed=0), 1100):
        people = [draw.identity for draw in batch]
        assert len(set(people)) == 4
        for person in people:
            counts[person] += 1
    assert min(counts.values()) > 360 and max(counts.values()) < 440


def test_fewer_people_than_places_fill_the_batch_in_turn() -> None:
    batches = first(IdentityBatches([5, 6, 7], 7, seed=0), 30)
    people = [draw.identity for batch in batches for draw in batch]
    assert all(people.count(person) == 70 for person in (5, 6, 7))


def test_every_draw_has_its_own_seed() -> None:
    draws = [draw.seed for batch in first(IdentityBatches(range(9), 3, seed=0), 50) for draw in batch]
    assert len(set(draws)) == len(draws)


def test_another_seed_gives_other_batches() -> None:
    assert first(IdentityBatches(range(50), 8, seed=0), 1) != first(IdentityBatches(range(50), 8, seed=1), 1)


def test_a_batch_that_can_not_be_shared_and_nobody_to_draw_are_refused() -> None:
    with pytest.raises(ConfigError, match="3 processes"):
        IdentityBatches(range(9), 8, seed=0, num_processes=3)
    with pytest.raises(ConfigError):
        IdentityBatches([], 8, seed=0)


@pytest.mark.parametrize("share", [0.0, 0.125, 0.3, 0.5, 1.0])
def test_a_share_of_the_draws_is_spread_evenly_over_the_run(share: float) -> None:
    chosen = [PersonDraw(0, 0, position).falls_into(share) for position in range(1000)]
    assert sum(chosen) == round(1000 * share)
    for start in range(0, 990, 7):
        assert abs(sum(chosen[start : start + 10]) - 10 * share) < 1 + 1e-6


def test_draws_are_counted_over_all_processes_and_resumes() -> None:
    halves = [IdentityBatches(range(30), 8, seed=1, rank=rank, num_processes=2, start_step=3) for rank in (0, 1)]
    positions = [draw.position for half in zip(*(first(h, 2) for h in halves), strict=True) for p in half for draw in p]
    assert positions == list(range(24, 40))
