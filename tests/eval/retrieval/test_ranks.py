import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

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


def direct_counts(queries, gallery, targets):
    """Ranks by one float64 matrix of cosines."""

    def unit(vectors):
        norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
        return np.divide(vectors, norms, out=np.zeros(vectors.shape), where=norms > 0)

    excess = unit(queries) @ unit(gallery).T
    excess -= excess[np.arange(len(queries)), targets][:, None]
    same = np.abs(excess) <= 1e-10
    return ((excess > 0) & ~same).sum(1).tolist(), (same.sum(1) - 1).tolist()


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    num_items=st.integers(1, 60),
    size=st.integers(1, 40),
    kind=st.sampled_from(["spread", "few values", "near copies", "clusters"]),
    dtype=st.sampled_from([np.float32, np.float64]),
    block_size=st.integers(1, 70),
)
def test_cosine_ranks_in_blocks_are_those_of_one_float64_matrix(seed, num_items, size, kind, dtype, block_size):
    random = np.random.default_rng(seed)
    gallery = random.normal(size=(num_items, size))
    if kind == "few values":  # whole families of ties, and zero vectors
        gallery = random.integers(-1, 2, (num_items, size)).astype(float)
    elif kind == "near copies":  # scores that float32 can't tell apart, and float64 can
        gallery = gallery[:1] + 1e-7 * gallery
    elif kind == "clusters":  # copies, and vectors of another length with the same cosine
        gallery = gallery[random.integers(0, 3, num_items) % num_items] * 2.0 ** random.integers(-3, 3, (num_items, 1))
    gallery = gallery.astype(dtype)
    targets = random.integers(0, num_items, 20)
    queries = (gallery[targets] + 0.5 * random.normal(size=(20, size))).astype(dtype)
    counts = count_ranks(queries, gallery, targets, "cosine", block_size=block_size)
    assert (counts.better.tolist(), counts.tied.tolist()) == direct_counts(queries, gallery, targets)


def test_doubtful_scores_among_many_are_decided_in_float64():
    # A thousandth of the gallery differs from the right face by less than float32 resolves, the rest by more.
    random = np.random.default_rng(3)
    gallery = random.normal(size=(6000, 64))
    gallery[7::1000] = gallery[7] + 3e-7 * random.normal(size=(6, 64))
    gallery[4007] = gallery[7]
    queries = gallery[7] + random.normal(size=(50, 64))
    counts = count_ranks(queries, gallery, np.full(50, 7), "cosine", block_size=2000)
    assert (counts.better.tolist(), counts.tied.tolist()) == direct_counts(queries, gallery, np.full(50, 7))
    assert set(counts.tied.tolist()) == {1} and len(set(counts.better.tolist())) >= 3


@pytest.mark.parametrize("scale", [1e-10, 1e18, 1e35])
def test_the_lengths_of_vectors_do_not_change_cosine_ranks(scale):
    random = np.random.default_rng(4)
    gallery = random.normal(size=(50, 16))
    queries, targets = gallery[:20] + random.normal(size=(20, 16)), np.arange(20)
    expected = count_ranks(queries, gallery, targets, "cosine")  # in float64, which has room
    gallery = np.concatenate([gallery[:25], gallery[25:] * scale]).astype(np.float32)
    counts = count_ranks(queries, gallery, targets, "cosine", block_size=20)
    assert counts.better.tolist() == expected.better.tolist()
    assert counts.tied.tolist() == expected.tied.tolist()


def test_reduced_precision_of_products_does_not_change_ranks():
    random = np.random.default_rng(5)
    gallery = random.normal(size=(500, 32)).astype(np.float32)
    queries, targets = gallery[:40] + random.normal(size=(40, 32)), np.arange(40)
    expected = direct_counts(queries, gallery, targets)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        counts = count_ranks(queries, gallery, targets, "cosine")
    finally:
        torch.set_float32_matmul_precision(before)
    assert (counts.better.tolist(), counts.tied.tolist()) == expected


def test_a_face_too_short_to_have_a_direction_scores_zero():
    # The right face is at right angles to the query; a tiny vector along the query counts as no better than it.
    gallery = np.zeros((200, 2))
    gallery[:, 1] = -1
    gallery[:3] = [[1e-13, 0], [0, 1], [1, 0]]
    gallery[3:, 0] = 0.5
    counts = count_ranks(np.array([[1.0, 0.0]]), gallery, np.array([1]), "cosine", block_size=200)
    assert (counts.better.tolist(), counts.tied.tolist()) == ([198], [1])


def test_threads_share_the_gallery_give_the_same_ranks_and_leave_torchs_setting():
    random = np.random.default_rng(4)
    gallery = random.normal(size=(90, 8)).astype(np.float32)
    gallery[[20, 61]] = gallery[8]
    queries = gallery[[8, 30]] + random.normal(size=(2, 8)).astype(np.float32)
    before = torch.get_num_threads()
    counts = []
    try:
        for num_threads in (1, 3):
            torch.set_num_threads(num_threads)
            counts.append(count_ranks(queries, gallery, np.array([8, 30]), "cosine", block_size=10))
            assert torch.get_num_threads() == num_threads
        gallery[75] = np.nan
        with pytest.raises(ValueError, match="gallery hold values that are not finite"):
            count_ranks(queries, gallery, np.array([8, 30]), "cosine", block_size=10)
        assert torch.get_num_threads() == num_threads
    finally:
        torch.set_num_threads(before)
    assert counts[0].better.tolist() == counts[1].better.tolist()
    assert counts[0].tied.tolist() == counts[1].tied.tolist() == [2, 0]
