import numpy as np
import pytest

from data.errors import DatasetError
from encoder.faces.verification import verify


def test_random_features_err_half_the_time() -> None:
    random = np.random.default_rng(0)
    scores = verify(random.standard_normal((600, 8)), np.repeat(np.arange(200), 3))
    assert scores.equal_error_rate == pytest.approx(0.5, abs=0.03)
    assert scores.true_accept_rate == pytest.approx(0.01, abs=0.01)
    assert scores.nearest_neighbour < 0.03


def test_perfect_features_never_err_and_single_faces_are_no_neighbours_of_theirs() -> None:
    identities = np.array([0, 0, 1, 1, 2])
    scores = verify(10 * np.eye(3)[identities], identities)
    assert (scores.equal_error_rate, scores.true_accept_rate, scores.nearest_neighbour) == (0, 1, 1)
    assert (scores.num_faces, scores.num_people) == (5, 3)


@pytest.mark.parametrize("identities", [[0, 0, 0], [0, 1, 2], []])
def test_without_pairs_of_both_kinds_there_is_nothing_to_verify(identities: list[int]) -> None:
    with pytest.raises(DatasetError, match="two people"):
        verify(np.ones((len(identities), 2)), np.array(identities, np.int64))
