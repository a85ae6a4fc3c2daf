import json

import numpy as np
import pytest

from eval.predictions import Pool
from eval.retrieval.galleries import draw_galleries
from eval.retrieval.metrics import QueryRanks, Vectors, rank_queries, recall_curve, summarize
from eval.retrieval.ranks import RankCounts


def vectors(queries, faces) -> Vectors:
    return Vectors(queries, faces, queries.mean(0), faces.mean(0))


def evaluate(pool, gallery, predicted, metric="cosine"):
    ranks = rank_queries(pool, gallery, predicted, metric)
    return summarize(ranks, gallery, system="model", space="joint", metric=metric, judge="none")


@pytest.fixture
def pool() -> Pool:
    return Pool.of_voices(np.repeat(np.arange(40), 2), np.repeat(np.arange(40), 2))


def test_a_perfect_system_finds_everybody_first(pool):
    people = np.random.default_rng(0).normal(size=(40, 6))
    predicted = vectors(people[pool.query_identities], people[pool.face_identities])
    for gallery in draw_galleries(pool, sizes=(20,), num_draws=5):
        result = evaluate(pool, gallery, predicted)
        assert result.recall["1"] == 1.0 and result.median_rank == 1.0 and result.mean_reciprocal_rank == 1.0
        assert result.ci95["1"] == (1.0, 1.0)


def test_a_constant_answer_is_as_good_as_chance_in_centred_cosine(pool):
    random = np.random.default_rng(0)
    constant = np.repeat(random.normal(size=(1, 6)), 80, axis=0)
    predicted = Vectors(constant, random.normal(size=(80, 6)), constant[0], np.zeros(6))
    gallery = draw_galleries(pool, sizes=(20,), num_draws=5)[0]
    result = evaluate(pool, gallery, predicted, "centred_cosine")
    assert result.recall == pytest.approx(result.chance)


def test_random_ranks_are_near_chance_and_their_interval_holds_it(pool):
    random = np.random.default_rng(1)
    predicted = vectors(random.normal(size=(80, 6)), random.normal(size=(80, 6)))
    gallery = draw_galleries(pool, sizes=(20,), num_draws=50)[0]
    result = evaluate(pool, gallery, predicted)
    assert result.recall["5"] == pytest.approx(0.25, abs=0.06)
    low, high = result.ci95["5"]
    assert low < 0.25 < high


def test_the_entry_has_the_promised_form_and_is_plain_json(pool):
    random = np.random.default_rng(1)
    predicted = vectors(random.normal(size=(80, 6)), random.normal(size=(80, 6)))
    entry = evaluate(pool, draw_galleries(pool, sizes=(20,))[0], predicted).as_json()
    promised = "task space metric judge gallery queries recall chance ci95 median_rank"
    assert set(promised.split()) <= set(entry)
    assert entry["task"] == "retrieval" and entry["gallery"] == 20 and entry["queries"] == 80
    assert entry["chance"] == {"1": 0.05, "2": 0.1, "5": 0.25, "10": 0.5}  # R@25 of 20 says nothing
    assert json.loads(json.dumps(entry))["ci95"]["1"][0] <= entry["recall"]["1"]


def test_a_group_is_asked_in_the_same_galleries_as_everybody(pool):
    people = np.random.default_rng(0).normal(size=(40, 6))
    predicted = vectors(people[pool.query_identities], people[pool.face_identities])
    gallery = draw_galleries(pool, sizes=(20,), num_draws=5)[0]
    ranks = rank_queries(pool, gallery, predicted, "l2")
    common = {"system": "model", "space": "joint", "metric": "l2", "judge": "none"}
    group = summarize(ranks, gallery, keep=ranks.identities < 10, **common)
    assert group.gallery == 20 and group.identities <= 10
    assert summarize(ranks, gallery, keep=ranks.identities > 99, **common) is None


def test_the_recall_curve_ends_at_one_and_agrees_with_the_table():
    pool = Pool.of_voices(np.arange(4), np.arange(4))
    gallery = draw_galleries(pool, sizes=())[0]
    ranks = QueryRanks(RankCounts(np.array([0, 1, 1, 3]), np.zeros(4, int)), np.arange(4), np.arange(4))
    assert recall_curve(ranks, gallery).tolist() == [0.25, 0.75, 0.75, 1.0]


def test_vectors_that_do_not_fit_the_pool_are_refused(pool):
    with pytest.raises(ValueError, match="79 queries and 80 faces given for a pool of 80 and 80"):
        evaluate(pool, draw_galleries(pool)[0], vectors(np.ones((79, 2)), np.ones((80, 2))))
