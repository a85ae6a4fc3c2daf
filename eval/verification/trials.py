"""Trials of verification and of matching: seeded draws of voices and faces, the same for every system."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from eval.predictions import Pool

Rows = NDArray[np.int64]

Others = Literal["all", "same_sex", "same_nationality"]
"""The people from whom wrong answers are drawn: all others, or those of the same sex or nationality."""

Direction = Literal["voice_to_face", "face_to_voice"]

_BLOCK = 4_000_000
"""Random numbers that are drawn at once."""


@dataclass(frozen=True)
class PairTrials:
    """Pairs of a voice and a face.

    Attributes:
        voices: [N] rows of the pool's queries.
        faces: [N] rows of the pool's faces.
        is_same: [N] whether both are of one person.
    """

    voices: Rows
    faces: Rows
    is_same: NDArray[np.bool_]


@dataclass(frozen=True)
class MatchingTrials:
    """Queries of one side, each with its right answer and wrong ones of the other side.

    Attributes:
        direction: Which side asks.
        queries: [K] rows of the asking side.
        candidates: [K, N] rows of the other side; the first is the right answer, the others are of N - 1 other people.
    """

    direction: Direction
    queries: Rows
    candidates: Rows


class TrialDraws:
    """Draws of trials among people of one group at a time.

    Attributes:
        people: Sorted identities of those who have both a voice and a face, and somebody else in their group.
    """

    def __init__(self, pool: Pool, groups: NDArray[np.str_] | None, num_pairs: int, seed: int) -> None:
        """Draw the pairs of one person, which all trials share.

        Args:
            pool: Voices and faces.
            groups: [identities] group of each person, "" where it is not known; wrong answers are of the same group.
                None for one group of all.
            num_pairs: Pairs of one person at most, spread evenly over the people.
            seed: Seed of all draws.
        """
        self._seed = seed
        self._voices, self._faces = _Side(pool.query_identities), _Side(pool.face_identities)
        people = pool.paired()
        labels = np.full(len(people), "everybody") if groups is None else groups[people]
        members = (people[labels == label] for label in np.unique(labels) if label)
        self._groups = [group for group in members if len(group) > 1]
        self.people: Rows = np.sort(np.concatenate([np.zeros(0, np.int64), *self._groups]))
        random = np.random.default_rng([seed, 10])
        own = [(self._voices.rows_of(person), self._faces.rows_of(person)) for person in self.people.tolist()]
        counts = _even_shares(np.array([len(v) * len(f) for v, f in own], np.int64), num_pairs)
        chosen = [random.choice(len(v) * len(f), n, replace=False) for (v, f), n in zip(own, counts, strict=True)]
        nobody = [np.zeros(0, np.int64)]
        self._own_voices = np.concatenate(nobody + [v[c // len(f)] for (v, f), c in zip(own, chosen, strict=True)])
        self._own_faces = np.concatenate(nobody + [f[c % len(f)] for (v, f), c in zip(own, chosen, strict=True)])
        self._owners: Rows = np.repeat(self.people, counts)

    def pairs(self) -> PairTrials | None:
        """Every pair of one person, and as many in which its voice meets the face of another person of the group.

        Returns:
            None if no group has two people.
        """
        if not len(self.people):
            return None
        random = np.random.default_rng([self._seed, 11])
        rows, others = self._others(1, random)
        faces = self._faces.pick(others[:, 0], random)
        return PairTrials(
            np.concatenate([self._own_voices, self._own_voices[rows]]),
            np.concatenate([self._own_faces, faces]),
            np.arange(len(self._owners) + len(rows)) < len(self._owners),
        )

    def matching(self, direction: Direction, num_candidates: int) -> MatchingTrials | None:
        """For every pair of one person, wrong answers of others of the group.

        People whose group is too small for N candidates are not asked for.

        Args:
            direction: Which side asks.
            num_candidates: N, the right answer included.

        Returns:
            None if no group has N people.
        """
        random = np.random.default_rng([self._seed, 12, num_candidates])
        rows, others = self._others(num_candidates - 1, random)
        if not len(rows):
            return None
        voices, faces = self._own_voices[rows], self._own_faces[rows]
        if direction == "voice_to_face":
            return MatchingTrials(direction, voices, np.column_stack([faces, self._faces.pick(others, random)]))
        return MatchingTrials(direction, faces, np.column_stack([voices, self._voices.pick(others, random)]))

    def _others(self, num: int, random: np.random.Generator) -> tuple[Rows, Rows]:
        """Different people of the same group for each pair of one person.

        Returns:
            [K] pairs whose group is large enough, and [K, num] people, none of whom is the pair's own.
        """
        rows, people = [np.zeros(0, np.int64)], [np.zeros((0, num), np.int64)]
        for group in self._groups:
            if len(group) <= num:
                continue
            own = np.flatnonzero(np.isin(self._owners, group))
            for block in np.array_split(own, 1 + len(own) * len(group) // _BLOCK):
                order = random.random((len(block), len(group) - 1))
                chosen = np.argpartition(order, num - 1, axis=1)[:, :num]
                place = np.searchsorted(group, self._owners[block])[:, None]
                rows.append(block)
                people.append(group[chosen + (chosen >= place)])
        return np.concatenate(rows), np.concatenate(people)


class _Side:
    """Rows of voices, or of faces, by identity."""

    def __init__(self, identity_of: NDArray[np.int64]) -> None:
        self._order = np.argsort(identity_of, kind="stable")
        bounds = np.searchsorted(identity_of[self._order], np.arange(identity_of.max(initial=-1) + 2))
        self._starts, self._counts = bounds[:-1], np.diff(bounds)

    def rows_of(self, identity: int) -> Rows:
        start = self._starts[identity]
        return self._order[start : start + self._counts[identity]]

    def pick(self, identities: Rows, random: np.random.Generator) -> Rows:
        """A random row of each identity."""
        return self._order[self._starts[identities] + random.integers(self._counts[identities])]


def _even_shares(available: Rows, total: int) -> Rows:
    """Shares of a total, as even as what is available allows; less than the total where it can't be shared evenly."""
    low, high = 0, int(available.max(initial=0))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if np.minimum(available, middle).sum() <= total else (low, middle - 1)
    return np.minimum(available, max(low, 1))
