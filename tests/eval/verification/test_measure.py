import numpy as np
import pytest

from encoder.error_rates import ErrorRates
from eval.verification.measure import matching_hits, rate_pairs, score_pairs
from eval.verification.trials import MatchingTrials

EYE = np.eye(3, dtype=np.float32)


def test_scores_are_cosines_of_unit_embeddings():
    faces = np.array([[1, 0], [0.6, 0.8]], np.float32)
    assert score_pairs(faces[[0, 0, 1]], faces[[0, 1, 1]]) == pytest.approx([1, 0.6, 1])


@pytest.mark.parametrize("direction", ["voice_to_face", "face_to_voice"])
def test_the_candidate_of_the_highest_score_is_the_answer(direction):
    trials = MatchingTrials(direction, np.array([0, 1, 2]), np.array([[0, 1], [1, 2], [1, 2]]))
    # The third question has another person's answer in the place of the right one.
    assert matching_hits(EYE, EYE, trials).tolist() == [1, 1, 0]


def test_voices_and_faces_are_not_confused():
    voices, faces = EYE, EYE[[1, 2, 0]]  # voice i is alike to face i - 1
    trials = MatchingTrials("voice_to_face", np.array([0]), np.array([[2, 0, 1]]))
    assert matching_hits(voices, faces, trials).tolist() == [1]
    trials = MatchingTrials("face_to_voice", np.array([2]), np.array([[0, 1, 2]]))
    assert matching_hits(voices, faces, trials).tolist() == [1]


def test_candidates_of_one_score_share_the_hit():
    faces = np.array([[1, 0], [1, 0], [1, 0], [0, 1]], np.float32)
    trials = MatchingTrials("voice_to_face", np.array([0, 0]), np.array([[0, 1, 2], [3, 0, 1]]))
    assert matching_hits(faces, faces, trials) == pytest.approx([1 / 3, 0])


def random_pairs(num_people, per_person, seed=0):
    random = np.random.default_rng(seed)
    voice = np.repeat(np.arange(num_people), 2 * per_person)
    is_same = np.tile(np.arange(2 * per_person) < per_person, num_people)
    face = np.where(is_same, voice, (voice + 1 + random.integers(num_people - 1, size=len(voice))) % num_people)
    # Every person has a voice that suits its face more or less, so pairs of a person are alike.
    scores = is_same * random.normal(1, 1.5, num_people)[voice] + random.normal(0, 1, len(voice))
    return scores, is_same, (voice, face)


def test_rates_are_those_of_all_pairs_and_lie_in_their_intervals():
    scores, is_same, people = random_pairs(40, 5)
    (equal, equal_interval), (area, area_interval) = rate_pairs(scores, is_same, people)
    assert equal == ErrorRates(scores, is_same).equal_error_rate()
    assert area == ErrorRates(scores, is_same).area_under_curve()
    assert equal_interval[0] < equal < equal_interval[1]
    assert area_interval[0] < area < area_interval[1]


def test_more_pairs_of_the_same_people_do_not_shrink_the_interval_as_more_people_do():
    def width(num_people, per_person):
        _, (_, (low, high)) = rate_pairs(*random_pairs(num_people, per_person))
        return high - low

    assert width(240, 5) < 0.6 * width(40, 5)
    assert width(40, 30) > 0.6 * width(40, 5)


def test_an_interval_of_pairs_that_are_easily_told_is_a_point():
    scores, is_same, people = random_pairs(10, 3)
    equal, (area, area_interval) = rate_pairs(is_same + 0.01 * scores, is_same, people)
    assert equal == (0, (0, 0))
    assert (area, *area_interval) == pytest.approx((1, 1, 1))
