import numpy as np
import pytest

from eval.retrieval.ranks import METRICS, RankCounts, count_ranks


def brute_force(queries, gallery, targets, metric):
    counts = []
    for query, target in zip(queries.astype(np.float64), targets, strict=True):
        if metric == "cosine":
            scores = gallery @ query / np.linalg.norm(gallery, axis=1) / np.linalg.norm(query)
        elif metric == "l2":
            scores = -np.linalg.norm(gallery - query, axis=1)
        else:
            scores = -np.abs(gallery - query).sum(1)
        counts.append((scores > scores[target]).sum())
    return np.array(counts)


def test_ranks_of_a_hand_made_matrix():
    # Scores: query 0 -> (3, 1, 2), query 1 -> (1, 1, 5), query 2 -> (2, 2, 2), as inner products of unit
    # gallery rows.
    gallery = np.eye(3)
    queries = np.array([[3.0, 1, 2], [1, 1, 5], [2, 2, 2]])
    counts = count_ranks(queries, gallery, np.array([2, 0, 1]), "cosine")
    assert counts.better.tolist() == [1, 1, 0]
    assert counts.tied.tolist() == [0, 1, 2]
    assert counts.middle_rank.tolist() == [2.0, 2.5, 2.0]
    # Query 1: ranks 2 or 3 with equal odds. Query 2: any of three.
    assert counts.hit_probability(1).tolist() == [0.0, 0.0, pytest.approx(1 / 3)]
    assert counts.hit_probability(2).tolist() == [1.0, 0.5, pytest.approx(2 / 3)]
    assert counts.hit_probability(3).tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("metric", METRICS)
def test_streamed_ranks_equal_brute_force_whatever_the_block_size(metric):
    random = np.random.default_rng(0)
    queries = random.normal(size=(37, 8)).astype(np.float32)
    gallery = random.normal(size=(53, 8)).astype(np.float32)
    targets = random.integers(0, 53, 37)
    expected = brute_force(queries, gallery, targets, metric)
    for block_size in (1, 5, 16, 100):
        counts = count_ranks(queries, gallery, targets, metric, block_size=block_size)
        assert counts.better.tolist() == expected.tolist()
        assert not counts.tied.any()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_copies_of_the_right_face_are_ties_at_any_scale_and_place(metric, scale):
    random = np.random.default_rng(1)
    gallery = (scale * random.normal(size=(40, 16))).astype(np.float32)
    gallery[[3, 17, 39]] = gallery[8]
    queries = gallery[8] + (0.1 * scale * random.normal(size=(20, 16))).astype(np.float32)
    counts = count_ranks(queries, gallery, np.full(20, 8), metric, block_size=7)
    assert counts.tied.tolist() == [3] * 20
    assert counts.better.tolist() == [0] * 20


@pytest.mark.parametrize("metric", METRICS)
def test_one_prediction_for_everybody_among_equal_faces_reaches_exactly_chance(metric):
    counts = count_ranks(np.ones((10, 4)), np.ones((10, 4)), np.arange(10), metric, block_size=3)
    for k in (1, 2, 5):
        assert counts.hit_probability(k).mean() == pytest.approx(k / 10)
    assert counts.middle_rank.tolist() == [5.5] * 10


def test_a_zero_vector_ties_with_everything():
    counts = count_ranks(np.zeros((1, 4)), np.random.default_rng(0).normal(size=(6, 4)), np.array([2]), "cosine")
    assert (counts.better[0], counts.tied[0]) == (0, 5)


@pytest.mark.parametrize("where", ["queries", "gallery"])
def test_a_value_that_is_not_finite_is_an_error(where):
    queries, gallery = np.ones((2, 3)), np.eye(3)
    (queries if where == "queries" else gallery)[1, 1] = np.nan
    with pytest.raises(ValueError, match=f"{where} hold values that are not finite"):
        count_ranks(queries, gallery, np.array([0, 1]), "cosine")


def test_targets_outside_the_gallery_are_refused():
    with pytest.raises(ValueError, match="outside the gallery of 3"):
        count_ranks(np.ones((1, 3)), np.eye(3), np.array([3]), "cosine")


def test_the_gallery_may_be_read_from_disk_block_by_block(tmp_path):
    random = np.random.default_rng(2)
    gallery = random.normal(size=(30, 5)).astype(np.float32)
    np.save(tmp_path / "gallery.npy", gallery)
    on_disk = np.load(tmp_path / "gallery.npy", mmap_mode="r")
    queries, targets = gallery[:9] + 0.3, np.arange(9)
    in_memory = count_ranks(queries, gallery, targets, "l2")
    assert count_ranks(queries, on_disk, targets, "l2", block_size=4).better.tolist() == in_memory.better.tolist()


def test_expected_hits_never_fall_as_k_grows():
    counts = RankCounts(np.array([0, 4, 2]), np.array([3, 0, 5]))
    hits = np.stack([counts.hit_probability(k) for k in range(1, 9)])
    assert (np.diff(hits, axis=0) >= 0).all() and hits[-1].tolist() == [1, 1, 1]
