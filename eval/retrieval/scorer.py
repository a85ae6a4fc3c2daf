"""Ranks averaged into lines of a report, as lists of one, or of none where a gallery has no query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eval.predictions import Pool
from eval.retrieval.galleries import Gallery
from eval.retrieval.metrics import MetricName, QueryRanks, RetrievalResult, Vectors, rank_queries, summarize


@dataclass(frozen=True)
class Scorer:
    """Scores systems in galleries.

    Attributes:
        device: Device that computes the ranks.
    """

    device: str

    def score(
        self,
        pool: Pool,
        gallery: Gallery,
        vectors: Vectors,
        system: str,
        space: str,
        metric: MetricName,
        judge: str,
        extra: dict[str, Any] | None = None,
    ) -> list[RetrievalResult]:
        """The result of a system's vectors."""
        ranks = rank_queries(pool, gallery, vectors, metric, self.device)
        return self.summarize(ranks, gallery, system, space, metric, judge, extra)

    def summarize(
        self,
        ranks: QueryRanks,
        gallery: Gallery,
        system: str,
        space: str,
        metric: str,
        judge: str,
        extra: dict[str, Any] | None = None,
    ) -> list[RetrievalResult]:
        """The result of a system's ranks."""
        result = summarize(ranks, gallery, system=system, space=space, metric=metric, judge=judge, extra=extra)
        return [] if result is None else [result]
