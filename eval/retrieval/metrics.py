"""Retrieval results: recall, median rank and reciprocal rank, each with its chance and its interval."""

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


@dataclass(frozen=True)
class Vectors:
    """What one system says in one space.

    Attributes:
        queries: [Q, D], row i belongs to query i of the pool.
        faces: [M, D], row j belongs to face j of the pool.
        query_centre: [D] mean of what the system says over the *training* split, for `centred_cosine`.
        face_centre: [D] mean of the faces of the training split.
    """

    queries: NDArray[np.floating]
    faces: NDArray[np.floating]
    query_centre: NDArray[np.floating]
    face_centre: NDArray[np.floating]


@dataclass(frozen=True)
class RetrievalResult:
    """One line of a report. Rates lie in [0, 1].

    Attributes:
        task: Always "retrieval".
        system: Who was asked: the model, a floor or a bound.
        space: Where the comparison is made.
        metric: How; `likelihood` for a ranker that knows the truth.
        judge: The face network whose features are compared.
        gallery_kind: See `eval.retrieval.galleries.Gallery`.
        gallery: Faces a gallery.
        draws: Galleries averaged over.
        identities: Different people asked for.
        queries: Different queries asked.
        recall: Probability that the right face is among the first k; keys are k as text.
        chance: The same for blind guessing.
        ci95: 95 % bootstrap interval of each recall, over the identities asked for.
        median_rank: From 1; ties count half.
        mean_reciprocal_rank: Mean of 1 / rank.
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
    """Ranks of every query of every draw of one gallery, flat.

    Attributes:
        counts: Ranks of the N = draws x queries questions.
        queries: [N] int64 rows of the pool.
        owners: [N] int64 identities asked for.
    """

    counts: RankCounts
    queries: NDArray[np.int64]
    owners: NDArray[np.int64]


def answer(pool: Pool, gallery: Gallery, vectors: Vectors, metric: MetricName, device: str = "cpu") -> QueryRanks:
    """Rank the right face of every query of every draw.

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
        asked, answers = vectors.queries[draw.queries], vectors.faces[draw.faces]
        if metric == "centred_cosine":
            asked, answers = asked - vectors.query_centre, answers - vectors.face_centre
        counts = count_ranks(asked, answers, draw.targets, kernel, device=device)
        better.append(counts.better)
        tied.append(counts.tied)
        queries.append(draw.queries)
    rows = np.concatenate(queries)
    return QueryRanks(RankCounts(np.concatenate(better), np.concatenate(tied)), rows, pool.query_identities[rows])


def rank_by_scores(pool: Pool, gallery: Gallery, scores: NDArray[np.floating]) -> QueryRanks:
    """Rank the right face of every query of every draw by given scores.

    Args:
        pool: The voices and faces that the gallery draws from.
        gallery: Its draws.
        scores: [identities, identities] voices by faces, the greater the better.
    """
    better, tied = [], []
    for draw in gallery.draws:
        own = scores[np.ix_(pool.query_identities[draw.queries], pool.face_identities[draw.faces])]
        right = own[np.arange(len(own)), draw.targets][:, None]
        better.append((own > right).sum(axis=1))
        tied.append((own == right).sum(axis=1) - 1)
    rows = np.concatenate([draw.queries for draw in gallery.draws])
    return QueryRanks(RankCounts(np.concatenate(better), np.concatenate(tied)), rows, pool.query_identities[rows])


def summarise(
    answers: QueryRanks,
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
    """Average the answers to a gallery into one line.

    Args:
        answers: As from `answer`.
        gallery: The gallery they belong to.
        system: Who was asked.
        space: Name of the space.
        metric: Name of the metric.
        judge: Name of the face network.
        recalls: The k of R@k; those of the gallery's size and beyond are left out, being 1 by construction.
        keep: [N] questions to keep (a group of people); all without it.
        extra: More keys for the entry.

    Returns:
        None if no question is left.
    """
    chosen = np.ones(len(answers.owners), dtype=bool) if keep is None else keep
    if not chosen.any():
        return None
    owners, questions = np.unique(answers.owners[chosen], return_inverse=True)
    counts = RankCounts(answers.counts.better[chosen], answers.counts.tied[chosen])
    ks = [k for k in recalls if k < gallery.size]
    hits = np.stack([counts.hit_probability(k) for k in ks], axis=1)
    recall = {str(k): float(rate) for k, rate in zip(ks, hits.mean(0), strict=True)}
    interval = dict(zip(recall, bootstrap_intervals(hits, questions, len(owners)), strict=True))
    ranks = counts.middle_rank
    return RetrievalResult(
        system=system,
        space=space,
        metric=metric,
        judge=judge,
        gallery_kind=gallery.kind,
        gallery=gallery.size,
        draws=len(gallery.draws),
        identities=len(owners),
        queries=len(np.unique(answers.queries[chosen])),
        recall=recall,
        chance={str(k): k / gallery.size for k in ks},
        ci95=interval,
        median_rank=float(np.median(ranks)),
        mean_reciprocal_rank=float((1.0 / ranks).mean()),
        extra=extra or {},
    )


def recall_curve(answers: QueryRanks, gallery: Gallery) -> NDArray[np.float64]:
    """[size] R@k for k = 1 .. size: the cumulative match curve."""
    return np.array([answers.counts.hit_probability(k).mean() for k in range(1, gallery.size + 1)])
