"""The numbers of a report as headlines, charts and tables of a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from eval.attributes.groups import TOO_SMALL
from eval.pages.parts.charts import Line, bar_chart, line_chart
from eval.pages.parts.tables import Headline, Table
from eval.report.markdown import percent, percent_interval

MAX_K = 25
"""Largest k of the recall curve."""

_SPACES = {
    "joint": ("joint space", "c1"),
    "feature": ("face feature", "c2"),
    "image": ("drawing, seen by the judge", "c3"),
}
_NUM_MEAN = 8  # drawings in the mean of the report's `recall_mean_of_8`
_LIMITS = {
    "shared": ("bound: the common causes are known", "limit thin"),
    "voice": ("bound: the voice is heard perfectly", "limit"),
    "sex": ("only the sex is known", "floor"),
}


@dataclass(frozen=True)
class LegendEntry:
    """One entry of a chart's legend: style class, name, and value at k = 10."""

    style: str
    name: str
    value: str


@dataclass(frozen=True)
class RecallView:
    """The retrieval section of the page."""

    chart: Markup
    legend: list[LegendEntry]
    table: Table
    gallery: int
    people: int
    draws: int


def show_recall(report: dict[str, Any]) -> RecallView:
    """Recall curves of each space in the first gallery, with bounds and chance, as a chart and as a table."""
    rows = headline_results(report)
    first = rows[0]
    size = first["gallery"]
    highest = min(MAX_K, size - 1)
    lines = [Line("chance", [(k, 100 * k / size) for k in range(1, highest + 1)], "chance")]
    legend = [LegendEntry("chance", "chance", _at_ten({str(k): k / size for k in range(1, size + 1)}))]
    for limit in _limits(report, first):
        name, style = _LIMITS[limit["knows"]]
        lines.append(Line(name, _points(limit["recall"], highest), style))
        legend.append(LegendEntry(style, name, _at_ten(limit["recall"])))
    for row in reversed(rows):
        name, style = _SPACES[row["space"]]
        curve = report.get("curves", {}).get(row["space"])
        recall = row["recall"] if curve is None else {str(k + 1): value for k, value in enumerate(curve)}
        points = _points(recall, highest)
        lines.append(Line(name, points, style, _band(points, row)))
        legend.append(LegendEntry(style, name, _at_ten(row["recall"])))
    legend.sort(key=lambda entry: float(entry.value.rstrip(" %") or 0), reverse=True)
    values = "; ".join(f"{entry.name} {entry.value}" for entry in legend)
    chart = line_chart(
        lines,
        x_label="k nearest faces",
        y_label="right face among the nearest k, %",
        x_ticks=[k for k in (1, 5, 10, 15, 20, 25) if k < highest] + [highest],
        y_ticks=[0, 25, 50, 75, 100],
        description=f"Recall over k in galleries of {size} faces. At k = 10: {values}.",
    )
    return RecallView(chart, legend, _recall_table(report, rows), size, first["identities"], first["draws"])


def headline_results(report: dict[str, Any]) -> list[dict[str, Any]]:
    """One result for each space: in the first gallery, by the metric that was fixed beforehand."""
    first = report["results"][0]
    return [
        row
        for row in report["results"]
        if row["metric"] == report["primary_metrics"][row["space"]] and _same_gallery(row, first)
    ]


def _band(points: Sequence[tuple[float, float]], row: dict[str, Any]) -> list[tuple[float, float, float]]:
    """Intervals around all points; their widths are measured at some k and interpolated between."""
    ks = sorted(int(k) for k in row["ci95"])
    below, above = (
        np.interp(
            [k for k, _ in points], ks, [100 * abs(row["recall"][str(k)] - row["ci95"][str(k)][side]) for k in ks]
        )
        for side in (0, 1)
    )
    return [(k, value - low, value + high) for (k, value), low, high in zip(points, below, above, strict=True)]


def _recall_table(report: dict[str, Any], rows: Sequence[dict[str, Any]]) -> Table:
    first = rows[0]
    ks = [k for k in ("1", "5", "10") if k in first["recall"]]
    body = []
    for row in rows:
        cells = [percent_interval(row["recall"][k], row["ci95"][k]) for k in ks]
        body.append([_SPACES[row["space"]][0], *cells, f"{row['median_rank']:g}"])
    for limit in _limits(report, first):
        body.append([_LIMITS[limit["knows"]][0], *(_rate(limit["recall"].get(k)) for k in ks), ""])
    others = [
        row
        for row in (*report["bounds"], *report["floors"])
        # The best possible score is among `limits` already.
        if row["space"] != "latent"
        and _same_gallery(row, first)
        and row["metric"] == report["primary_metrics"].get(row["space"], row["metric"])
    ]
    for row in others:
        where = row["judge"] if row["space"] == "image-to-image" else _SPACES[row["space"]][0]
        cells = [_rate(row["recall"].get(k)) for k in ks]
        body.append([f"{row['system']} ({where})", *cells, f"{row['median_rank']:g}"])
    body.append(["chance", *(_rate(first["chance"][k]) for k in ks), f"{(first['gallery'] + 1) / 2:g}"])
    return Table(["in % (95 % interval)", *(f"R@{k}" for k in ks), "median rank"], body)


def _limits(report: dict[str, Any], like: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for row in report.get("limits", []) if row["knows"] in _LIMITS and _same_gallery(row, like)]


def _same_gallery(row: dict[str, Any], other: dict[str, Any]) -> bool:
    return bool((row["gallery_kind"], row["gallery"]) == (other["gallery_kind"], other["gallery"]))


def _points(recall: dict[str, float], highest: int) -> list[tuple[float, float]]:
    return sorted((int(k), 100 * value) for k, value in recall.items() if int(k) <= highest)


def _at_ten(recall: dict[str, float]) -> str:
    return "" if "10" not in recall else f"{percent(recall['10'])} %"


def _rate(value: float | None) -> str:
    return "" if value is None else percent(value)


@dataclass(frozen=True)
class VarietyView:
    """The variety section of the page: how faithful drawings are, and how alike, at each variety.

    Attributes:
        recall: Chart of the recall.
        recall_legend: Its legend.
        k: k of the recall.
        gallery: Number of faces in the galleries.
        similarity: Chart of the cosines.
        similarity_legend: Its legend, with the values at the highest variety.
        table: All numbers.
    """

    recall: Markup
    recall_legend: list[LegendEntry]
    k: str
    gallery: int
    similarity: Markup
    similarity_legend: list[LegendEntry]
    table: Table


def show_varieties(report: dict[str, Any]) -> VarietyView | None:
    """Recall and similarity of drawings over variety, by the first judge.

    Args:
        report: The retrieval part.

    Returns:
        None for a report on fewer than two varieties.
    """
    points = report.get("varieties", [])
    points = sorted((point for point in points if point["judge"] == points[0]["judge"]), key=lambda p: p["variety"])
    if len(points) < 2:
        return None
    recall = points[0]["recall_one"]
    k = "10" if "10" in recall else max(recall, key=int)
    varieties = [point["variety"] for point in points]
    mean = f"recall_mean_of_{_NUM_MEAN}"
    chance = 100 * points[0]["chance"][k]
    recall_lines = [
        Line("chance", [(varieties[0], chance), (varieties[-1], chance)], "chance"),
        _over_variety(
            points, "one drawing", lambda p: p["recall_one"][k], lambda p: p["recall_one_ci95"][k], "c3", 100
        ),
        _over_variety(
            points, f"mean of {_NUM_MEAN} drawings", lambda p: p[mean][k], lambda p: p[f"{mean}_ci95"][k], "c1", 100
        ),
    ]
    similarity_lines = [
        _over_variety(points, "drawing and the speaker's photograph", *_value_of("photograph"), "c2", 1),
        _over_variety(points, "two drawings of the voice", *_value_of("two_drawings"), "c3", 1),
    ]
    gallery = points[0]["gallery"]
    charts = [
        line_chart(
            lines,
            x_label="variety",
            y_label=y_label,
            x_ticks=varieties,
            y_ticks=y_ticks,
            description=f"{what} over variety, from {varieties[0]:g} to {varieties[-1]:g}. "
            + "; ".join(f"{line.name} from {line.points[0][1]:.3g} to {line.points[-1][1]:.3g}" for line in lines),
        )
        for lines, what, y_label, y_ticks in (
            (recall_lines, "Recall in %", "right face among the nearest k, %", [0, 25, 50, 75, 100]),
            (similarity_lines, "Centred cosine", "centred cosine", [0, 0.25, 0.5, 0.75, 1]),
        )
    ]
    return VarietyView(
        recall=charts[0],
        recall_legend=[
            LegendEntry(line.style, line.name, f"{line.points[0][1]:.1f} % → {line.points[-1][1]:.1f} %")
            for line in reversed(recall_lines)
        ],
        k=k,
        gallery=gallery,
        similarity=charts[1],
        similarity_legend=[
            LegendEntry(line.style, line.name, f"{line.points[0][1]:.2f} → {line.points[-1][1]:.2f}")
            for line in reversed(similarity_lines)
        ],
        table=_variety_table(points, k, mean),
    )


def _value_of(key: str) -> tuple[Callable[[dict[str, Any]], float], Callable[[dict[str, Any]], Sequence[float]]]:
    return lambda point: point[key], lambda point: point[f"{key}_ci95"]


def _over_variety(
    points: Sequence[dict[str, Any]],
    name: str,
    value: Callable[[dict[str, Any]], float],
    interval: Callable[[dict[str, Any]], Sequence[float]],
    style: str,
    scale: float,
) -> Line:
    band = [(p["variety"], *(scale * bound for bound in interval(p))) for p in points]
    return Line(name, [(p["variety"], scale * value(p)) for p in points], style, [(x, a, b) for x, a, b in band])


def _variety_table(points: Sequence[dict[str, Any]], k: str, mean: str) -> Table:
    columns: list[tuple[str, Callable[[dict[str, Any]], str]]] = [
        (f"R@{k} in %, one drawing", lambda p: percent_interval(p["recall_one"][k], p["recall_one_ci95"][k])),
        (f"mean of {_NUM_MEAN}", lambda p: percent_interval(p[mean][k], p[f"{mean}_ci95"][k])),
        ("cosine, two drawings", lambda p: f"{p['two_drawings']:.3f}"),
        ("drawing and photograph", lambda p: f"{p['photograph']:.3f}"),
        ("Frechet distance", lambda p: f"{p['frechet_distance']:.3g}" if "frechet_distance" in p else ""),
        ("faces found, %", lambda p: _rate(p.get("faces_found"))),
        ("sex right, %", lambda p: "" if p.get("sex_too_small") else _rate(p.get("sex_agreement"))),
    ]
    body = [[f"variety {p['variety']:g}", *(cell(p) for _, cell in columns)] for p in points]
    used = [i for i in range(len(columns) + 1) if any(row[i] for row in body)]
    header = ["", *(name for name, _ in columns)]
    return Table([header[i] for i in used], [[row[i] for i in used] for row in body])


@dataclass(frozen=True)
class DistanceView:
    """The image quality section of the page."""

    space: str
    chart: Markup
    table: Table
    num_images: int
    num_real: int
    comparable: bool


def show_distances(report: dict[str, Any]) -> DistanceView:
    """Frechet distances of drawings, floor and bound in the first feature space as bars, and all numbers as a table."""
    rows = [*report["results"], *report["bounds"]]
    first = report["results"][0]
    shown = sorted(
        (row for row in rows if row["feature_space"] == first["feature_space"]), key=lambda row: row["frechet_distance"]
    )
    bars = [
        (row["system"], row["frechet_distance"], f"{row['frechet_distance']:.3g}", _distance_style(row["system"]))
        for row in shown
    ]
    values = "; ".join(f"{name} {label}" for name, _, label, _ in bars)
    table = Table(
        ["images", "feature space", "number", "real faces", "Frechet distance", "KID x 1000"],
        [
            [
                row["system"],
                row["feature_space"],
                f"{row['num_images']:,}",
                f"{row['num_real_images']:,}",
                f"{row['frechet_distance']:.4g}",
                f"{1000 * row['kid']:.3f} ± {1000 * row['kid_std']:.3f}",
            ]
            for row in rows
        ],
    )
    return DistanceView(
        space=first["feature_space"],
        chart=bar_chart(bars, description=f"Frechet distance to real faces, lower is closer: {values}."),
        table=table,
        num_images=first["num_images"],
        num_real=first["num_real_images"],
        comparable=first["comparable"],
    )


def _distance_style(system: str) -> str:
    return "limit" if system.startswith("bound") else "floor" if system.startswith("floor") else "c1"


def show_attributes(report: dict[str, Any], compared_with: str | None = None) -> Table | None:
    """How often the sex of the model's predictions agrees with a reference.

    Args:
        report: The retrieval part.
        compared_with: The only reference to show, such as "labels"; by default all.

    Returns:
        None if there is no such reference.
    """
    rows = [
        [
            row["said_by"] if compared_with else f"{row['said_by']}, compared with {row['compared_with']}",
            TOO_SMALL if row.get("too_small") else percent_interval(row["agreement"], row["ci95"]),
            "" if row.get("too_small") else percent(row["majority"]),
            f"{row['people']:,}",
        ]
        for row in report["attributes"]["sex"]
        if compared_with in (None, row["compared_with"])
    ]
    return Table(["sex agrees, in %", "agreement", "majority", "people"], rows) if rows else None


def show_sensitivity(report: dict[str, Any]) -> Table | None:
    """Similarity of drawings that differ by noise, clip or speaker alone; None for a model that does not draw."""
    rows = [
        [row["pair"], f"{row['cosine']:.2f} ({row['ci95'][0]:.2f} to {row['ci95'][1]:.2f})", f"{row['num']:,}"]
        for row in report.get("listening", [])
    ]
    return Table(["two drawings", "centred cosine", "people"], rows) if rows else None


def headlines(
    retrieval: dict[str, Any] | None, images: dict[str, Any] | None, verification: dict[str, Any] | None = None
) -> list[Headline]:
    """The numbers at the top of the page."""
    tiles = []
    if retrieval is not None:
        row = headline_results(retrieval)[0]
        k = "10" if "10" in row["recall"] else next(iter(row["recall"]))
        beside = [
            f"bound {percent(limit['recall'][k])} %"
            for limit in _limits(retrieval, row)
            if limit["knows"] == "voice" and k in limit["recall"]
        ]
        note = ", ".join([*beside, f"chance {percent(row['chance'][k])} %"])
        name = f"of voices find their face among the nearest {k} of {row['gallery']}"
        tiles.append(Headline(f"{percent(row['recall'][k])} %", name, note))
        sex = next(
            (
                row
                for row in retrieval["attributes"]["sex"]
                if (row["said_by"], row["compared_with"]) == ("drawing", "labels") and not row.get("too_small")
            ),
            None,
        )
        if sex is not None:
            note = f"always the same guess: {percent(sex['majority'])} %"
            tiles.append(Headline(f"{percent(sex['agreement'])} %", "of drawings show the sex of the speaker", note))
    if verification is not None:
        row = verification["results"][0]
        note = f"area under the curve {row['area_under_curve']:.3f}; chance 50 % and .5"
        name = "equal error rate: are a voice and a face of one person?"
        tiles.append(Headline(f"{percent(row['equal_error_rate'])} %", name, note))
    if images is not None:
        row = images["results"][0]
        variety = f", variety {row['variety']:g}" if row.get("variety") else ""
        others = [f"{_short(b['system'])} {b['frechet_distance']:.2g}" for b in images["bounds"] if _is_end(b, row)]
        tiles.append(
            Headline(
                f"{row['frechet_distance']:.3g}",
                f"Frechet distance of drawings to real faces ({row['feature_space']}{variety})",
                ", ".join(others),
            )
        )
    return tiles


def _is_end(row: dict[str, Any], like: dict[str, Any]) -> bool:
    return row["feature_space"] == like["feature_space"] and row["system"].startswith(("bound", "floor"))


def _short(system: str) -> str:
    return system.partition(": ")[2]
