"""Which voices are asked against which faces: seeded draws of galleries, the same for every space and metric.

A draw picks identities, one face of each as the gallery and one query of each that has any. Scoring every
system on the same draws makes their differences mean something.
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
"""People of either sex that same-sex galleries need: fewer would be drawn again and again."""


@dataclass(frozen=True)
class GalleryDraw:
    """One gallery and its queries, as rows of the pool.

    Attributes:
        queries: [q] int64 rows of the queries.
        faces: [g] int64 rows of the faces.
        targets: [q] int64, for each query the position in `faces` of its right answer.
    """

    queries: NDArray[np.int64]
    faces: NDArray[np.int64]
    targets: NDArray[np.int64]


@dataclass(frozen=True)
class Gallery:
    """A kind of gallery, drawn several times.

    Attributes:
        kind: `random` identities, the `whole_split`, or random identities of the `same_sex`.
        size: Faces in each draw.
        draws: At least one.
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
        pool: Queries and faces. Galleries are made of its identities that have both, whatever else has a
            face: a data set's extra photographs come from elsewhere and would be told apart by their look.
        sizes: Gallery sizes of random identities; those larger than the split are left out.
        num_draws: Draws of each random kind. The whole split is drawn ten times if any identity has a
            choice of queries or faces, else once: there is only one.
        seed: Decides all draws.
        sexes: [identities] "female", "male" or "" where unknown; no same-sex galleries without it.
        same_sex_size: At most so many of one sex; both sexes' galleries have the same size, else a chance
            for each.

    Returns:
        Galleries in the order random (by size), whole split, same sex. Empty if fewer than two identities
        pair.
    """
    identities = pool.paired()
    if len(identities) < 2:
        return []
    lookup = _Lookup(pool)
    galleries = []
    for size in sorted(sizes):
        if size <= len(identities):
            # The seed carries the size, so that asking for another size does not change this one.
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
    """Rows by identity, so that a draw costs its own size, not the pool's."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.queries = _rows_by_owner(pool.query_identities)
        self.faces = _rows_by_owner(pool.face_identities)

    def has_choice(self, identities: NDArray[np.int64]) -> bool:
        return any(len(self.queries[i]) > 1 or len(self.faces[i]) > 1 for i in identities.tolist())

    def draw(self, identities: NDArray[np.int64], random: np.random.Generator) -> GalleryDraw:
        queries, faces, targets = [], [], []
        for position, identity in enumerate(identities.tolist()):
            candidates = self.faces[identity]
            query = random.choice(self.queries[identity])
            rivals = candidates[candidates != self.pool.query_faces[query]]
            if len(rivals):
                queries.append(query)
                targets.append(position)
            # An identity whose only face is the query still stands in the gallery, as somebody else's wrong
            # answer.
            faces.append(random.choice(rivals if len(rivals) else candidates))
        return GalleryDraw(*(np.array(rows, dtype=np.int64) for rows in (queries, faces, targets)))


def _rows_by_owner(owners: NDArray[np.int64]) -> dict[int, NDArray[np.int64]]:
    order = np.argsort(owners, kind="stable")
    identities, starts = np.unique(owners[order], return_index=True)
    return dict(zip(identities.tolist(), np.split(order, starts[1:]), strict=True))
