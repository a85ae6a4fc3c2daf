"""Retrieval results: recall with chance and confidence interval, median rank, mean reciprocal rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from eval.intervals import bootstrap_intervals
from eval.predictions import Pool
from eval.retrieval.galleries import Gallery, GalleryKind
from eval.retrieval.ranks import METRICS, Metric, RankCounts, count_ranks

RECALLS = (1, 2, 5, 10, 25, 50, 75, 100)

Space = Literal["joint", "feature", "image", "image-to-image"]
MetricName = Literal["cosine", "l2", "l1", "centred_cosine"]
METRIC_NAMES: tuple[MetricName, ...] = (*METRICS, "centred_cosine")

PRIMARY_METRICS: dict[str, MetricName] = {"joint": "cosine", "feature": "centred_cosine", "image": "centred_cosine"}
"""The headline metric of each space; fixed beforehand, so that it is not chosen on a test split."""


@dataclass(frozen=True)
class Vectors:
    """Vectors of queries and faces in one space, as one system gives them.

    Attributes:
        queries: [Q, D] vectors of the pool's queries.
        faces: [M, D] vectors of the pool's faces.
        query_centre: [D] mean of the system's query vectors over the *training* split, for `centred_cosine`.
        face_centre: [D] mean of the face vectors over the training split.
    """

    queries: NDArray[np.floating]
    faces: NDArray[np.floating]
    query_centre: NDArray[np.floating]
    face_centre: NDArray[np.floating]


@dataclass(frozen=True)
class RetrievalResult:
    """One line of a report. Rates lie in [0, 1].

    Attributes:
        system: Name of the system: the model, a floor or a bound.
        space: Name of the space of the comparison.
        metric: Name of the metric; `likelihood` for a ranker that knows the true traits.
        judge: Name of the face network whose features are compared.
        gallery_kind: Kind of the galleries, see `eval.retrieval.galleries.Gallery`.
        gallery: Number of faces in a gallery.
        draws: Number of galleries averaged over.
        identities: Number of different people asked for.
        queries: Number of different queries.
        recall: Probability that the right face is among the first k; keys are k as text.
        chance: Recall of guessing.
        ci95: 95 % bootstrap interval of each recall over the identities asked for.
        median_rank: Median rank from 1; ties count half.
        mean_reciprocal_rank: Mean of 1 / rank.
        task: Always "retrieval".
        extra: More keys for the entry in report.json.
    """

    system: str
    space: str
    metric: str
    judge: str
    gallery_kind: GalleryKind
    gallery: int
    draws: int
    identities: int
    queries: int
    recall: dict[str, float]
    chance: dict[str, float]
    ci95: dict[str, tuple[float, float]]
    median_rank: float
    mean_reciprocal_rank: float
    task: Literal["retrieval"] = "retrieval"
    extra: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The entry of `results` in report.json."""
        entry = asdict(self)
        return {"task": entry.pop("task"), **{k: v for k, v in entry.items() if k != "extra"}, **self.extra}


@dataclass(frozen=True)
class QueryRanks:
    """Ranks of the right face for all queries of all draws of a gallery, in one array.

    Attributes:
        counts: Ranks of the N = draws x queries cases.
        queries: [N] int64 rows of the queries in the pool.
        identities: [N] int64 identities of the queries.
    """

    counts: RankCounts
    queries: NDArray[np.int64]
    identities: NDArray[np.int64]


def rank_queries(pool: Pool, gallery: Gallery, vectors: Vectors, metric: MetricName, device: str = "cpu") -> QueryRanks:
    """Rank the right face for every query of every draw of a gallery.

    Raises:
        ValueError: If the vectors don't fit the pool, or are not finite where they are used.
    """
    if len(vectors.queries) != len(pool.query_identities) or len(vectors.faces) != len(pool.face_identities):
        raise ValueError(
            f"{len(vectors.queries)} queries and {len(vectors.faces)} faces given for a pool of "
            f"{len(pool.query_identities)} and {len(pool.face_identities)}"
        )
    kernel: Metric = "cosine" if metric == "centred_cosine" else metric
    better, tied, queries = [], [], []
    for draw in gallery.draws:
        query_vectors, face_vectors = vectors.queries[draw.queries], vectors.faces[draw.faces]
        if metric == "centred_cosine":
            query_vectors, face_vectors = query_vectors - vectors.query_centre, face_vectors - vectors.face_centre
        counts = count_ranks(query_vectors, face_vectors, draw.targets, kernel, device=device)
        better.append(counts.better)
        tied.append(counts.tied)
        queries.append(draw.queries)
    rows = np.concatenate(queries)
    return QueryRanks(RankCounts(np.concatenate(better), np.concatenate(tied)), rows, pool.query_identities[rows])


def rank_by_scores(pool: Pool, gallery: Gallery, scores: NDArray[np.floating]) -> QueryRanks:
    """Rank the right face for every query of every draw of a gallery by given scores.

    Args:
        pool: The voices and faces that the gallery is drawn from.
        gallery: The gallery.
        scores: [identities, identities] voices by faces, higher is better.
    """
    better, tied = [], []
    for draw in gallery.draws:
        own = scores[np.ix_(pool.query_identities[draw.queries], pool.face_identities[draw.faces])]
        right = own[np.arange(len(own)), draw.targets][:, None]
        better.append((own > right).sum(axis=1))
        tied.append((own == right).sum(axis=1) - 1)
    rows = np.concatenate([draw.queries for draw in gallery.draws])
    return QueryRanks(RankCounts(np.concatenate(better), np.concatenate(tied)), rows, pool.query_identities[rows])


def summarize(
    ranks: QueryRanks,
    gallery: Gallery,
    *,
    system: str,
    space: str,
    metric: str,
    judge: str,
    recalls: Sequence[int] = RECALLS,
    keep: NDArray[np.bool_] | None = None,
    extra: dict[str, Any] | None = None,
) -> RetrievalResult | None:
    """Average ranks into one line of a report.

    Args:
        ranks: As from `rank_queries`.
        gallery: The gallery that they belong to.
        system: Name of the system.
        space: Name of the space.
        metric: Name of the metric.
        judge: Name of the face network.
        recalls: The k of R@k; those from the gallery's size on are left out, being 1 by definition.
        keep: [N] bool, the cases to average (a group of people); all by default.
        extra: More keys for the entry in report.json.

    Returns:
        None if no case is kept.
    """
    chosen = np.ones(len(ranks.identities), dtype=bool) if keep is None else keep
    if not chosen.any():
        return None
    identities, rows = np.unique(ranks.identities[chosen], return_inverse=True)
    counts = RankCounts(ranks.counts.better[chosen], ranks.counts.tied[chosen])
    ks = [k for k in recalls if k < gallery.size]
    hits = np.stack([counts.hit_probability(k) for k in ks], axis=1)
    recall = {str(k): float(rate) for k, rate in zip(ks, hits.mean(0), strict=True)}
    interval = dict(zip(recall, bootstrap_intervals(hits, rows, len(identities)), strict=True))
    middle_ranks = counts.middle_rank
    return RetrievalResult(
        system=system,
        space=space,
        metric=metric,
        judge=judge,
        gallery_kind=gallery.kind,
        gallery=gallery.size,
        draws=len(gallery.draws),
        identities=len(identities),
        queries=len(np.unique(ranks.queries[chosen])),
        recall=recall,
        chance={str(k): k / gallery.size for k in ks},
        ci95=interval,
        median_rank=float(np.median(middle_ranks)),
        mean_reciprocal_rank=float((1.0 / middle_ranks).mean()),
        extra=extra or {},
    )


def recall_curve(ranks: QueryRanks, gallery: Gallery) -> NDArray[np.float64]:
    """[size] R@k for k = 1 .. size (cumulative match curve)."""
    return np.array([ranks.counts.hit_probability(k).mean() for k in range(1, gallery.size + 1)])
