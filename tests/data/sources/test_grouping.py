from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import DatasetError
from data.faces.protocol import FaceEncoderInfo, unit_rows
from data.faces.registry import load_recognizer, same_person_threshold
from data.sources.grouping import (
    find_similar_pairs,
    group_people,
    list_groups,
    read_mean_features,
    smallest_connected,
)
from data.store.shards import write_shard


def at_angles(*degrees: float) -> np.ndarray:
    """Unit vectors in a plane."""
    radians = np.deg2rad(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def test_clips_of_one_face_join_their_people_and_a_chain_joins_all_along_it() -> None:
    features = at_angles(0, 8, 16, 90, 180)
    people = np.array([0, 1, 2, 3, 4])
    threshold = float(np.cos(np.deg2rad(10)))
    assert group_people(features, people, 5, threshold).tolist() == [0, 0, 0, 3, 4]
    (group,) = list_groups(features, people, list("abcde"), np.array([0, 0, 0, 3, 4]))
    assert (group.identity, group.members, group.num_clips) == ("a", ("a", "b", "c"), 3)
    assert group.least_similarity == pytest.approx(np.cos(np.deg2rad(8)), abs=1e-5)


def test_people_are_joined_by_any_two_clips_and_by_what_is_known() -> None:
    features = at_angles(0, 90, 91, 200)
    people = np.array([2, 2, 1, 0])
    assert group_people(features, people, 4, 0.99).tolist() == [0, 1, 1, 3]
    assert group_people(features, people, 4, 0.99, known=[(3, 0), (0, 2)]).tolist() == [0, 0, 0, 0]


def test_clips_without_a_face_are_like_nobody() -> None:
    features = np.zeros((3, 2), np.float32)
    assert group_people(features, np.arange(3), 3, 0.01).tolist() == [0, 1, 2]
    assert list_groups(features, np.arange(3), list("abc"), np.array([0, 0, 2]))[0].least_similarity == 1.0


@given(st.integers(0, 40), st.integers(1, 17), st.integers(0, 10_000))
def test_pairs_are_those_of_the_whole_matrix_whatever_the_block(num: int, block_size: int, seed: int) -> None:
    features = unit_rows(np.random.default_rng(seed).normal(size=(num, 3)))
    found = [
        (i, j)
        for first, second, _ in find_similar_pairs(features, 0.5, block_size)
        for i, j in zip(first.tolist(), second.tolist(), strict=True)
    ]
    cosines = features.astype(np.float64) @ features.T.astype(np.float64)
    assert sorted(found) == [(i, j) for i in range(num) for j in range(i + 1, num) if cosines[i, j] >= 0.5]
    assert len(set(found)) == len(found)


def test_the_same_face_twice_is_alike_at_a_threshold_of_one() -> None:
    features = np.array([[0.6, 0.8], [0.8, 0.6], [0.6, 0.8]], np.float32)
    ((first, second, cosines),) = find_similar_pairs(features, 1.0)
    assert (first.tolist(), second.tolist(), cosines.tolist()) == ([0], [2], [1.0])


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=30))
def test_the_smallest_stands_for_all_that_are_connected(pairs: list[tuple[int, int]]) -> None:
    expected = list(range(20))
    for one, other in pairs:
        low, high = sorted((expected[one], expected[other]))
        expected = [low if part == high else part for part in expected]
    links = np.array(pairs, np.int64).reshape(-1, 2)
    assert smallest_connected(20, links).tolist() == expected


def test_the_mean_face_of_a_clip_is_a_unit_vector_and_none_is_zero(tmp_path: Path) -> None:
    faces = [at_angles(10, 30), at_angles(90), np.zeros((0, 2), np.float32), at_angles(5)]
    rows = [
        {"clip_id": str(i), "identity": "a", "face_features": None if i == 3 else list(own)}
        for i, own in enumerate(faces)
    ]
    paths = [tmp_path / "one.parquet", tmp_path / "two.parquet"]
    write_shard(paths[0], rows, 2)
    write_shard(paths[1], rows[:1], 2)
    expected = np.concatenate([at_angles(20, 90), np.zeros((2, 2)), at_angles(20)])
    np.testing.assert_allclose(read_mean_features(paths, 2), expected, atol=1e-6)
    paths[1].write_bytes(paths[1].read_bytes()[:-20])
    with pytest.raises(DatasetError, match=r"two\.parquet: damaged"):
        read_mean_features(paths, 2)


def test_thresholds_are_those_of_the_weights_not_of_the_name() -> None:
    personas = load_recognizer("personas").info
    assert same_person_threshold(personas) == 0.92
    assert same_person_threshold(FaceEncoderInfo("personas", "0" * 64, 128, "")) is None
