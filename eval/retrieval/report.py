"""The retrieval part of a report: JSON, Markdown and figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data.store.dataset import ClipDataset
from eval.model_under_test import ModelUnderTest
from eval.report.folder import write_report
from eval.retrieval.figure_contents import save_pictures
from eval.retrieval.measure import RetrievalMeasurement
from eval.retrieval.metrics import PRIMARY_METRICS, QueryRanks, recall_curve
from eval.retrieval.text import as_markdown

_MAX_K = 100


def write_retrieval_report(
    out: Path,
    model: ModelUnderTest,
    dataset: ClipDataset,
    measured: RetrievalMeasurement,
    provenance: dict[str, Any],
    seed: int,
) -> None:
    """Write the whole report into an existing folder.

    Args:
        out: The folder.
        model: The model, which makes the drawings that figures show.
        dataset: The judged split.
        measured: The numbers.
        provenance: Keys `model`, `dataset`, `training_face_network`, `judge`, `code`, `settings`.
        seed: Seed of the drawings' noise.
    """
    pictures = save_pictures(out, model, dataset, measured, seed)
    content = _as_json(measured, provenance, pictures)
    write_report(out, "retrieval", content, as_markdown(measured, provenance, pictures))


def _as_json(measured: RetrievalMeasurement, provenance: dict[str, Any], pictures: dict[str, str]) -> dict[str, Any]:
    return {
        **provenance,
        "primary_metrics": PRIMARY_METRICS,
        "results": [result.as_json() for result in measured.results],
        # R@1, R@2 ... of each space in the headline gallery.
        "curves": {space: _curve(ranks, measured) for space, ranks in measured.curves.items()},
        # The same for the best possible rankers, where true traits are known.
        "limits": [
            {
                "knows": knows,
                "gallery_kind": measured.headline.kind,
                "gallery": measured.headline.size,
                "recall": {str(k): recall for k, recall in enumerate(_curve(ranks, measured), start=1)},
            }
            for knows, ranks in measured.limits.items()
        ],
        "floors": [result.as_json() for result in measured.floors],
        "bounds": [result.as_json() for result in measured.bounds],
        "groups": [result.as_json() for result in measured.groups],
        "small_groups": [group.as_json() for group in measured.small_groups],
        "lengths": [result.as_json() for result in measured.lengths],
        "attributes": measured.attributes,
        "listening": [similarity.as_json() for similarity in measured.sensitivity],
        "lpips_missing": measured.lpips_missing,
        "reconstruction": measured.reconstruction,
        "faces_found": measured.faces_found,
        "varieties": [
            point.as_json()
            for points in (
                [] if measured.varieties is None else measured.varieties.points,
                *(other.points for other in measured.other_judges),
            )
            for point in points
        ],
        "f2f_by_training_network": [result.as_json() for result in measured.f2f_by_training_network],
        "by_other_judges": [
            result.as_json() for other in measured.other_judges for result in (*other.results, *other.bounds)
        ],
        "notes": measured.notes,
        "pictures": pictures,
    }


def _curve(ranks: QueryRanks, measured: RetrievalMeasurement) -> list[float]:
    curve: list[float] = recall_curve(ranks, measured.headline)[:_MAX_K].tolist()
    return curve
