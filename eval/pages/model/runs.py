"""What trainings left behind: curves out of stats.jsonl, and drawings of the same voices as the training went on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import Image

from eval.pages.parts.cards import ASSETS, Picture, spread
from eval.pages.parts.charts import spark_line
from gan.samples import NUM_DRAWINGS

_TITLES = {
    "loss/info_nce": "contrast of voices and faces",
    "loss/cosine": "regression of the face feature",
    "loss/margin_softmax": "margin loss over training identities",
    "loss/speaker": "who of the training people speaks",
    "val/joint_recall_at_10pct": "right face in the best tenth, joint space",
    "val/feature_recall_at_10pct": "right face in the best tenth, regressed feature",
    "val/cosine": "cosine of regressed and true feature",
    "val/equal_error_rate": "verification: equal error rate",
    "val/true_accept_rate": "verification: accepted at 1 % false",
    "val/nearest_neighbour": "the nearest face is the same person's",
    "generator/adversarial": "generator: adversarial",
    "generator/identity": "generator: identity",
    "generator/perceptual": "generator: perceptual",
    "generator/pixel": "generator: pixel",
    "discriminator/adversarial": "discriminator: adversarial",
    "discriminator/mismatched": "discriminator: mismatched pairs",
}
_SHOWN = ("val/", "loss/", "generator/", "discriminator/adversarial", "discriminator/mismatched")
_MAX_CURVES = 6
_MOMENTS = 5
_COLUMNS = 8
_ROWS_ABOVE = 3  # spectrogram, true face, drawing from the true feature


@dataclass(frozen=True)
class TrainingCurve:
    """A value over the training.

    Attributes:
        title: What it is.
        first: The first value as text.
        last: The last value as text.
        chart: The curve.
    """

    title: str
    first: str
    last: str
    chart: Markup


@dataclass(frozen=True)
class TrainingRun:
    """One training.

    Attributes:
        name: Of the run folder.
        images_seen: Its length so far.
        speed: Median images a second; None where it is not told.
        curves: What it minimised and how it validated.
        film: Drawings of the same voices and noise, a strip a moment, the true faces last; empty if it draws nothing.
    """

    name: str
    images_seen: int
    speed: float | None
    curves: list[TrainingCurve]
    film: list[Picture]


def show_run(out: Path, folder: Path) -> TrainingRun | None:
    """Read a run folder and write its strips of samples to `out/assets`; None where nothing was logged."""
    lines = read_stats(folder)
    if not lines:
        return None
    names = list(dict.fromkeys(name for line in lines for name in line if name.startswith(_SHOWN)))
    curves: list[TrainingCurve] = []
    for name in names:
        points = [(line["images_seen"], line[name]) for line in lines if line.get(name) is not None]
        title = _TITLES.get(name, name)
        if len(points) > 1 and len(curves) < _MAX_CURVES:
            first, last = f"{points[0][1]:.3g}", f"{points[-1][1]:.3g}"
            chart = spark_line(points, f"{title} over the training, from {first} to {last}")
            curves.append(TrainingCurve(title, first, last, chart))
    speeds = [line["speed/images_per_second"] for line in lines if line.get("speed/images_per_second")]
    return TrainingRun(
        name=folder.name,
        images_seen=int(lines[-1]["images_seen"]),
        speed=float(np.median(speeds)) if speeds else None,
        curves=curves,
        film=_cut_film(out, folder),
    )


def read_stats(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's stats.jsonl; none where there are none, and without one that a kill cut off."""
    try:
        text = (folder / "stats.jsonl").read_text(encoding="utf-8")
    except OSError:
        return []
    lines = []
    for line in text.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and "images_seen" in record:
            lines.append(record)
    return lines


def _cut_film(out: Path, folder: Path) -> list[Picture]:
    """One row of drawings of some of the grids that `gan.samples` left, and the row of true faces."""
    grids = sorted((folder / "samples").glob("*.png"))
    if not grids:
        return []
    moments = [*spread(grids[:-1], _MOMENTS - 1), grids[-1]]
    film = []
    for number, path in enumerate(moments):
        with Image.open(path) as picture:
            grid = np.asarray(picture.convert("RGB"))
        side = grid.shape[0] // (_ROWS_ABOVE + NUM_DRAWINGS)
        rows = [(_ROWS_ABOVE, "drawings", f"{int(path.stem):,} images seen")]
        if number == len(moments) - 1:
            rows.append((1, "true-faces", "true faces"))
        for row, what, caption in rows:
            file = f"{ASSETS}/film-{folder.name}-{number + 1}-{what}.png"
            Image.fromarray(grid[row * side : (row + 1) * side, : _COLUMNS * side]).save(out / file)
            text = f"Drawings after {caption}" if what == "drawings" else "The true faces of the same people"
            film.append(Picture(file, text, caption))
    return film
