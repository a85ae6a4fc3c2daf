import numpy as np
import pytest

from eval.predictions import Pool
from eval.verification.trials import TrialDraws

VOICES = np.array([0, 0, 0, 1, 2, 2, 3, 4, 6], np.int64)
FACES = np.array([0, 0, 1, 1, 1, 2, 3, 4, 5], np.int64)
POOL = Pool.of_voices(VOICES, FACES)
GROUPS = np.array(["a", "a", "a", "b", "", "a", "b"])


@pytest.mark.parametrize("groups", [None, GROUPS])
def test_pairs_are_balanced_and_their_second_person_is_another_of_the_group(groups):
    draws = TrialDraws(POOL, groups, 1000, seed=1)
    pairs = draws.pairs()
    voice, face = VOICES[pairs.voices], FACES[pairs.faces]
    assert (voice == face).tolist() == pairs.is_same.tolist()
    # Nobody is left out who has both sides and somebody else in the group: all pairs of 6 + 3 + 2 (+ 1 + 1).
    assert pairs.is_same.sum() == (~pairs.is_same).sum() == (13 if groups is None else 11)
    assert set(voice) == set(draws.people) == ({0, 1, 2, 3, 4} if groups is None else {0, 1, 2})
    assert len(set(zip(pairs.voices[pairs.is_same], pairs.faces[pairs.is_same], strict=True))) == pairs.is_same.sum()
    assert pairs.voices[pairs.is_same].tolist() == pairs.voices[~pairs.is_same].tolist()
    if groups is not None:
        assert (groups[voice] == groups[face]).all()


def test_fewer_pairs_are_spread_evenly_over_the_people():
    pairs = TrialDraws(POOL, None, 8, seed=1).pairs()
    people, counts = np.unique(VOICES[pairs.voices[pairs.is_same]], return_counts=True)
    assert people.tolist() == [0, 1, 2, 3, 4]
    assert counts.tolist() == [2, 2, 2, 1, 1]


@pytest.mark.parametrize("direction", ["voice_to_face", "face_to_voice"])
@pytest.mark.parametrize("num", [2, 3, 5])
def test_candidates_are_the_right_one_and_different_others(direction, num):
    asking, answering = (VOICES, FACES) if direction == "voice_to_face" else (FACES, VOICES)
    trials = TrialDraws(POOL, None, 1000, seed=1).matching(direction, num)
    people = answering[trials.candidates]
    assert people.shape == (13, num)
    assert people[:, 0].tolist() == asking[trials.queries].tolist()
    assert all(len(set(row)) == num for row in people.tolist())


def test_only_people_of_a_group_that_is_large_enough_are_asked_for():
    draws = TrialDraws(POOL, np.array(["a", "a", "a", "b", "b", "a", "b"]), 1000, seed=1)
    assert set(VOICES[draws.matching("voice_to_face", 2).queries]) == {0, 1, 2, 3, 4}
    assert set(VOICES[draws.matching("voice_to_face", 3).queries]) == {0, 1, 2}
    assert draws.matching("voice_to_face", 4) is None


def test_a_seed_decides_all_draws():
    def drawn(seed):
        draws = TrialDraws(POOL, None, 10, seed)
        pairs, trials = draws.pairs(), draws.matching("voice_to_face", 3)
        return [pairs.voices.tolist(), pairs.faces.tolist(), trials.candidates.tolist()]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_without_groups_of_two_there_are_no_pairs():
    assert TrialDraws(POOL, np.array(["a", "b", "c", "d", "", "e", "f"]), 10, seed=1).pairs() is None


def test_every_other_person_is_drawn_about_equally_often():
    pool = Pool.of_voices(np.repeat(np.arange(4), 50), np.repeat(np.arange(4), 50))
    pairs = TrialDraws(pool, None, 8000, seed=0).pairs()
    owners, others = (side[~pairs.is_same] // 50 for side in (pairs.voices, pairs.faces))
    counts = np.histogram2d(owners, others, bins=4)[0]
    assert (np.diag(counts) == 0).all()
    assert counts[~np.eye(4, dtype=bool)] == pytest.approx(2000 / 3, rel=0.15)
