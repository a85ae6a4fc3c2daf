"""The section of a report on variety."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eval.attributes.groups import TOO_SMALL
from eval.report.markdown import number_interval, percent, percent_interval, table
from eval.retrieval.variety.exchangeability import Exchangeability
from eval.retrieval.variety.measure import NUM_DRAWINGS, VarietyCurve, VarietyPoint


def variety_section(curve: VarietyCurve) -> str:
    """Tables of one judge's curve, and how to read them."""
    points = curve.points
    only = "" if len(points) > 1 else " This report has variety 0 alone: the model has no sampler, or it was asked for."
    people = points[0].centred.num
    return "\n".join(
        [
            "## Variety\n",
            "Variety 0 draws the face feature that is regressed from the voice; variety 1 draws samples of all face "
            f"features that the voice leaves open; between them, samples are that share of the way.{only}\n",
            recall_table(points),
            f"One drawing: {points[0].one.queries:,} voices of {points[0].one.identities} people. Mean of "
            f"{NUM_DRAWINGS}: the mean of E's features of {NUM_DRAWINGS} drawings, each with its own sample and noise, "
            f"of one voice of each of {people} people. Both in the same galleries of {points[0].one.gallery} "
            f"({points[0].one.metric}). {_sex_note(points)}\n",
            exchangeability_table(points),
            "Two drawings of a voice should be as alike as a drawing and a photograph of the speaker: then the "
            "photograph could be one of the drawings (calibrated, difference 0). A positive difference means too "
            f"little variety, a negative one too much. Means over {people} people: all pairs of {NUM_DRAWINGS} "
            "drawings of one voice, and all pairs of a drawing and a photograph; intervals are bootstraps over "
            "people.\n",
            *_distance_part(curve),
        ]
    )


def other_judge_section(name: str, points: Sequence[VarietyPoint]) -> str:
    """The same recalls and cosines by another judge, under a heading of their own."""
    return "\n".join(
        [
            f"### Variety, judged by {name}\n",
            recall_table(points),
            f"One drawing: {points[0].one.queries:,} voices; mean of {NUM_DRAWINGS}: {points[0].mean.queries:,}.\n",
            exchangeability_table(points),
        ]
    )


def recall_table(points: Sequence[VarietyPoint]) -> str:
    """Recall of one drawing and of the mean of several, sex and faces found."""
    ks = [k for k in ("1", "5", "10") if k in points[0].one.recall]
    with_sex = any(point.sex is not None for point in points)
    with_faces = any(point.faces_found is not None for point in points)
    rows = []
    for point in points:
        row = [f"{point.variety:g}"]
        for result in (point.one, point.mean):
            row += [percent_interval(result.recall[k], result.ci95[k]) for k in ks]
        if with_sex:
            row.append("" if point.sex is None else _sex_cell(point.sex))
        if with_faces:
            row.append("" if point.faces_found is None else percent(point.faces_found))
        rows.append(row)
    chance = [percent(points[0].one.chance[k]) for k in ks]
    empty = [None] * (with_sex + with_faces)
    header = ["variety", *(f"one drawing, R@{k} %" for k in ks), *(f"mean of {NUM_DRAWINGS}, R@{k} %" for k in ks)]
    header += ["sex right %"] * with_sex + ["face found %"] * with_faces
    return table(header, [["chance", *chance, *chance, *empty], *rows])


def exchangeability_table(points: Sequence[VarietyPoint]) -> str:
    """Cosines of two drawings, and of a drawing and a photograph."""
    rows = []
    for point in points:
        cosines, plain = point.centred, point.uncentred
        rows.append(
            [
                f"{point.variety:g}",
                *_cells(cosines),
                f"{plain.two_drawings.mean:.3f} / {plain.photograph.mean:.3f}",
            ]
        )
    header = ["variety", "two drawings of a voice", "drawing and the speaker's photograph", "difference"]
    header += ["one sample, other noise", "the first two, uncentred"]
    return table(header, rows)


def _cells(cosines: Exchangeability) -> list[str]:
    columns = (cosines.two_drawings, cosines.photograph, cosines.gap, cosines.other_noise)
    return [number_interval(column.mean, column.ci95, 3) for column in columns]


def _sex_cell(sex: dict[str, Any]) -> str:
    return TOO_SMALL if sex["too_small"] else percent_interval(sex["agreement"], sex["ci95"])


def _sex_note(points: Sequence[VarietyPoint]) -> str:
    sex = points[0].sex
    if sex is None:
        return "No sex: too few people are labelled."
    return (
        f"Sex: a classifier fitted to labelled training photographs, on one drawing of each of {sex['num']:,} voices, "
        f"compared with {'the labels' if sex['compared_with'] == 'labels' else 'the pitch of the voice'} (majority "
        f"{percent(sex['majority'])} %)."
    )


def _distance_part(curve: VarietyCurve) -> list[str]:
    found = [point.distance for point in curve.points if point.distance is not None]
    if not found:
        return []
    rows = [
        [
            row.system if row.variety is None else f"variety {row.variety:g}",
            f"{row.num_images:,} / {row.num_real:,}",
            f"{row.frechet_distance:.4g}" + ("" if row.comparable else " (not comparable)"),
            f"{1000 * row.kid:.3f} ± {1000 * row.kid_std:.3f}",
            percent(row.precision),
            percent(row.recall),
        ]
        for row in (*found, *curve.distance_bounds)
    ]
    header = ["pictures", "pictures / real faces", "Frechet distance", "KID x 1000"]
    header += ["improved precision %", "improved recall %"]
    return [
        table(header, rows),
        "Distances from all real faces of the split in E's space, as `scripts/evaluate_fid.py` measures them. "
        "docs/protocol.md defines them.\n",
    ]
