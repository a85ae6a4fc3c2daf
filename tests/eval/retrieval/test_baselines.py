import numpy as np
import pytest

from eval.predictions import Pool
from eval.retrieval.baselines import mean_prediction, real_to_real, same_pictures, shuffle_voices
from eval.retrieval.galleries import draw_galleries
from eval.retrieval.metrics import Vectors, rank_queries, summarize


def recall(pool, vectors, metric="cosine", galleries=None):
    gallery = (galleries or draw_galleries(pool, sizes=(20,), num_draws=50))[0]
    ranks = rank_queries(pool, gallery, vectors, metric)
    return summarize(ranks, gallery, system="", space="", metric=metric, judge="").recall


@pytest.fixture
def perfect() -> tuple[Pool, Vectors]:
    """Thirty people with one to three voices and two faces each, all of them recognised."""
    people = np.random.default_rng(0).normal(size=(30, 8))
    voices = np.repeat(np.arange(30), 1 + np.arange(30) % 3)
    faces = np.repeat(np.arange(30), 2)
    predicted = Vectors(people[voices], people[faces], people.mean(0), people.mean(0))
    return Pool.of_voices(voices, faces), predicted


def test_shuffled_voices_get_the_predictions_of_other_people(perfect):
    pool, vectors = perfect
    shuffled = shuffle_voices(pool, vectors)
    same = (shuffled.queries[:, None] == vectors.queries[None]).all(2)
    assert not (same & (pool.query_identities[:, None] == pool.query_identities[None])).any()
    assert recall(pool, vectors)["1"] == 1.0
    assert recall(pool, shuffled)["1"] < 0.1
    assert recall(pool, shuffled)["5"] == pytest.approx(0.25, abs=0.12)


def test_the_mean_prediction_is_exactly_chance_once_centred(perfect):
    pool, vectors = perfect
    rates = recall(pool, mean_prediction(vectors), "centred_cosine")
    assert rates == pytest.approx({"1": 0.05, "2": 0.1, "5": 0.25, "10": 0.5})


def test_a_real_image_finds_another_of_the_same_person_and_never_itself():
    # Two pictures a person, at right angles to each other: only a picture itself would be found.
    faces = np.eye(20)
    pool, vectors = real_to_real(Pool.of_voices(np.arange(10), np.repeat(np.arange(10), 2)), faces, np.zeros(20))
    assert recall(pool, vectors, galleries=draw_galleries(pool))["1"] == pytest.approx(0.1)
    alike = np.repeat(np.eye(10), 2, axis=0)
    pool, vectors = real_to_real(Pool.of_voices(np.arange(10), np.repeat(np.arange(10), 2)), alike, np.zeros(10))
    assert recall(pool, vectors, galleries=draw_galleries(pool))["1"] == 1.0


def test_without_a_second_image_there_is_no_such_bound():
    assert real_to_real(Pool.of_voices(np.arange(5), np.arange(5)), np.eye(5), np.zeros(5)) is None


def test_a_reconstruction_is_asked_for_the_very_picture_that_it_was_made_from():
    owners = np.repeat(np.arange(6), 3)
    pool = Pool.of_voices(owners, owners)
    gallery = same_pictures(draw_galleries(pool)[0])
    for draw in gallery.draws:
        assert (draw.faces[draw.targets] == draw.queries).all() and len(draw.faces) == 6
