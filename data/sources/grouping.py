"""People who have several names: clips with similar faces are joined, exactly and in little memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from tqdm import tqdm

from data.errors import DatasetError
from data.faces.protocol import unit_rows

BLOCK_SIZE = 2048
"""Number of clips whose faces are compared with as many others at once."""

_CLIPS_AT_ONCE = 4096
# Cosines so near the threshold are computed again: the last bits of a matrix product depend on the machine.
_BORDERLINE = 1e-5

ClipPairs = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]
"""Numbers of the first clips, numbers of the second clips, and the cosines of their mean features."""


@dataclass(frozen=True)
class Group:
    """Earlier identities that are one person.

    Attributes:
        identity: New name, the smallest of the earlier ones.
        members: Earlier names, sorted.
        num_clips: Number of their clips.
        least_similarity: Lowest cosine between a member's mean feature and the group's; a low value means that single
            linkage has chained dissimilar faces.
    """

    identity: str
    members: tuple[str, ...]
    num_clips: int
    least_similarity: float


def read_mean_features(paths: Sequence[Path], feature_size: int) -> NDArray[np.float32]:
    """The mean face feature of each clip.

    Args:
        paths: Shards, whose clips follow each other in the result.
        feature_size: D.

    Returns:
        [N, D] unit vectors; zeros for a clip without a face.

    Raises:
        DatasetError: If a shard is damaged.
    """
    means = [np.zeros((0, feature_size), np.float32)]
    for path in paths:
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(_CLIPS_AT_ONCE, columns=["face_features"], use_threads=False):
                    means.append(_mean_features(batch.column(0), feature_size))
        except (OSError, KeyError, ValueError, pa.ArrowException) as error:
            message = str(error).splitlines()[0]
            raise DatasetError(f"{path}: damaged ({message}); prepare the data set again") from error
    return np.concatenate(means)


def _mean_features(column: pa.Array, feature_size: int) -> NDArray[np.float32]:
    counts = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    features = column.flatten().flatten().to_numpy(zero_copy_only=False).reshape(-1, feature_size).astype(np.float64)
    sums = np.zeros((len(counts), feature_size))
    np.add.at(sums, np.repeat(np.arange(len(counts)), counts), features)
    return unit_rows(sums)


def cosine_blocks(
    features: NDArray[np.float32], block_size: int = BLOCK_SIZE
) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
    """The upper half of the matrix of all cosines, block by block.

    Args:
        features: [N, D] unit vectors, or zeros, which are similar to nothing.
        block_size: B; memory grows with its square.

    Yields:
        First row and first column, and the block [up to B, up to B]; blocks on the diagonal are whole.
    """
    starts = range(0, len(features), block_size)
    with tqdm(total=len(starts), unit="block", desc="comparing faces", disable=None, delay=2) as progress:
        for start in starts:
            own = features[start : start + block_size]
            for other_start in range(start, len(features), block_size):
                yield start, other_start, own @ features[other_start : other_start + block_size].T
            progress.update()


def find_similar_pairs(
    features: NDArray[np.float32], threshold: float, block_size: int = BLOCK_SIZE
) -> Iterator[ClipPairs]:
    """All pairs of clips with similar mean features.

    Args:
        features: As `cosine_blocks`.
        threshold: Least cosine, in (0, 1].
        block_size: As `cosine_blocks`; the pairs don't depend on it.

    Yields:
        Pairs i < j.
    """
    for start, other_start, cosines in cosine_blocks(features, block_size):
        first, second = np.nonzero(cosines >= threshold - _BORDERLINE)
        values = cosines[first, second]
        first, second = first + start, second + other_start
        near = np.abs(values - threshold) <= _BORDERLINE
        values[near] = _exact_cosines(features, first[near], second[near])
        wanted = (first < second) & (values >= threshold)
        if wanted.any():
            yield first[wanted], second[wanted], values[wanted]


def _exact_cosines(
    features: NDArray[np.float32], first: NDArray[np.int64], second: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Cosines of pairs, summed in the same order on every machine."""
    pairs = zip(first.tolist(), second.tolist(), strict=True)
    return np.array([np.cumsum(features[i].astype(np.float64) * features[j])[-1] for i, j in pairs], np.float32)


def group_people(
    features: NDArray[np.float32],
    people: NDArray[np.int64],
    num_people: int,
    threshold: float,
    known: Sequence[tuple[int, int]] = (),
) -> NDArray[np.int64]:
    """Join people of whom any two clips show the same face.

    Single linkage: one wrong link joins two people for good, so the threshold has to be strict.

    Args:
        features: [N, D] as from `read_mean_features`.
        people: [N] number of each clip's person, below `num_people`.
        num_people: Number of people.
        threshold: Least cosine of two clips of one person.
        known: Pairs of people who are known to be the same.

    Returns:
        [num_people] the smallest person of the group that each belongs to.
    """
    links = np.array(known, np.int64).reshape(-1, 2)
    for first_clips, second_clips, _ in find_similar_pairs(features, threshold):
        # Each pair of people once: many clips of two people would give many links.
        links = np.unique(np.concatenate([links, np.stack([people[first_clips], people[second_clips]], 1)]), axis=0)
    return smallest_connected(num_people, links)


def smallest_connected(num_nodes: int, links: NDArray[np.int64]) -> NDArray[np.int64]:
    """The smallest node that each node of a graph is connected with, itself included.

    Args:
        num_nodes: N.
        links: [L, 2] pairs of nodes.

    Returns:
        [N] numbers of nodes.
    """
    graph = coo_array((np.ones(len(links), np.bool_), (links[:, 0], links[:, 1])), (num_nodes, num_nodes))
    _, component_of = connected_components(graph, directed=False)
    _, smallest = np.unique(component_of, return_index=True)  # the first index of each component is its smallest node
    return smallest.astype(np.int64)[component_of]


def list_groups(
    features: NDArray[np.float32], people: NDArray[np.int64], names: Sequence[str], group_of: NDArray[np.int64]
) -> list[Group]:
    """The groups of more than one earlier identity, the largest first.

    Args:
        features: [N, D] as from `read_mean_features`.
        people: [N] number of each clip's person.
        names: Identities of the people, sorted.
        group_of: [number of people] as from `group_people`.
    """
    sums = np.zeros((len(names), features.shape[1]), np.float64)
    np.add.at(sums, people, features)
    num_clips = np.bincount(people, minlength=len(names))
    order = np.argsort(group_of, kind="stable")
    groups = []
    for members in np.split(order, np.flatnonzero(np.diff(group_of[order])) + 1):
        if len(members) > 1:
            faces = unit_rows(sums[members])
            seen = faces.any(axis=1)
            similarities = faces[seen] @ unit_rows(faces.sum(axis=0, keepdims=True))[0]
            groups.append(
                Group(
                    identity=names[members[0]],
                    members=tuple(names[member] for member in members.tolist()),
                    num_clips=int(num_clips[members].sum()),
                    least_similarity=float(similarities.min(initial=1.0)),
                )
            )
    return sorted(groups, key=lambda group: (-len(group.members), -group.num_clips, group.identity))
