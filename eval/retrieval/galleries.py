"""Galleries: seeded draws of queries and faces, the same for every space and metric.

A draw takes some identities, one face of each as the gallery, and one query of each that has one. All systems are
scored on the same draws, so that their differences are not due to the draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from eval.predictions import Pool

GalleryKind = Literal["random", "whole_split", "same_sex"]

MIN_SAME_SEX = 5
"""Number of people of either sex that same-sex galleries need."""


@dataclass(frozen=True)
class GalleryDraw:
    """One gallery and its queries, given as rows of the pool.

    Attributes:
        queries: [q] int64 rows of the queries.
        faces: [g] int64 rows of the faces.
        targets: [q] int64, the position in `faces` of the right answer to each query.
    """

    queries: NDArray[np.int64]
    faces: NDArray[np.int64]
    targets: NDArray[np.int64]


@dataclass(frozen=True)
class Gallery:
    """Several draws of one kind of gallery.

    Attributes:
        kind: `random` identities, the `whole_split`, or random identities of the `same_sex`.
        size: Number of faces in each draw.
        draws: The draws, at least one.
    """

    kind: GalleryKind
    size: int
    draws: tuple[GalleryDraw, ...]


def draw_galleries(
    pool: Pool,
    *,
    sizes: Sequence[int] = (100, 1000),
    num_draws: int = 100,
    seed: int = 0,
    sexes: NDArray[np.str_] | None = None,
    same_sex_size: int = 100,
) -> list[Gallery]:
    """The protocol's galleries, as far as the split is large enough for them.

    Args:
        pool: Queries and faces. Galleries are made of the identities that have both. Other people's photographs come
            from other sources and could be excluded by their look alone.
        sizes: Sizes of galleries of random identities; those larger than the split are left out.
        num_draws: Number of draws of each random kind. The whole split is drawn ten times if any identity has
            several queries or faces, else once.
        seed: Seed of all draws.
        sexes: [identities] "female", "male" or "" where unknown; no same-sex galleries without it.
        same_sex_size: Size of same-sex galleries at most; those of both sexes have the same size, so that chance is
            the same.

    Returns:
        Galleries in the order random (by size), whole split, same sex; none if fewer than two identities have both a
        query and a face.
    """
    identities = pool.paired()
    if len(identities) < 2:
        return []
    lookup = _Lookup(pool)
    galleries = []
    for size in sorted(sizes):
        if size <= len(identities):
            # The size is part of the seed, so that a gallery does not depend on which other sizes are asked for.
            random = np.random.default_rng([seed, size])
            chosen = (random.choice(identities, size, replace=False) for _ in range(num_draws))
            galleries.append(Gallery("random", size, tuple(lookup.draw(c, random) for c in chosen)))
    random = np.random.default_rng([seed, 0])
    repeats = 10 if lookup.has_choice(identities) else 1
    whole = tuple(lookup.draw(identities, random) for _ in range(repeats))
    galleries.append(Gallery("whole_split", len(identities), whole))
    if sexes is not None:
        groups = [identities[sexes[identities] == sex] for sex in ("female", "male")]
        size = min(same_sex_size, *(len(group) for group in groups))
        if size >= MIN_SAME_SEX:
            random = np.random.default_rng([seed, 1])
            draws = []
            for draw in range(2 * ((num_draws + 1) // 2)):
                draws.append(lookup.draw(random.choice(groups[draw % 2], size, replace=False), random))
            galleries.append(Gallery("same_sex", size, tuple(draws)))
    return galleries


class _Lookup:
    """Rows of the pool by identity, so that the cost of a draw depends on its own size, not on the pool's."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.queries = _rows_by_identity(pool.query_identities)
        self.faces = _rows_by_identity(pool.face_identities)

    def has_choice(self, identities: NDArray[np.int64]) -> bool:
        return any(len(self.queries[i]) > 1 or len(self.faces[i]) > 1 for i in identities.tolist())

    def draw(self, identities: NDArray[np.int64], random: np.random.Generator) -> GalleryDraw:
        queries, faces, targets = [], [], []
        for position, identity in enumerate(identities.tolist()):
            candidates = self.faces[identity]
            query = random.choice(self.queries[identity])
            others = candidates[candidates != self.pool.query_faces[query]]
            if len(others):
                queries.append(query)
                targets.append(position)
            # An identity whose only face is the query stays in the gallery as a wrong answer to other queries.
            faces.append(random.choice(others if len(others) else candidates))
        return GalleryDraw(*(np.array(rows, dtype=np.int64) for rows in (queries, faces, targets)))


def _rows_by_identity(identity_of: NDArray[np.int64]) -> dict[int, NDArray[np.int64]]:
    order = np.argsort(identity_of, kind="stable")
    identities, starts = np.unique(identity_of[order], return_index=True)
    return dict(zip(identities.tolist(), np.split(order, starts[1:]), strict=True))
