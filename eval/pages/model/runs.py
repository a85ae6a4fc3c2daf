"""Training runs: curves from stats.jsonl, and drawings of the same voices over the training."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import Image

from data.faces.alignment import FACE_SIZES
from eval.pages.parts.cards import ASSETS, Picture, spread
from eval.pages.parts.charts import spark_line
from gan.samples import NUM_DRAWINGS

_TITLES = {
    "loss/info_nce": "contrastive loss of voices and faces",
    "loss/cosine": "regression of the face feature",
    "loss/margin_softmax": "margin loss over training identities",
    "loss/speaker": "speaker classification loss",
    "val/joint_recall_at_10pct": "right face in the nearest tenth, joint space",
    "val/feature_recall_at_10pct": "right face in the nearest tenth, face feature",
    "val/cosine": "cosine of predicted and true feature",
    "val/equal_error_rate": "verification: equal error rate",
    "val/true_accept_rate": "verification: true accept rate at 1 % false accepts",
    "val/nearest_neighbour": "nearest face is the same person's",
    "val/f2f_cosine": "drawings of true features: cosine of drawing and crop by T",
    "val/frechet_distance": "drawings of true features: Frechet distance by T",
    "val/noise_cosine": "cosine of two drawings with other noise by T",
    "val/noise_pixels": "difference of two drawings with other noise",
    "val/overfitting": "overfitting of the discriminator",
    "generator/adversarial": "generator: adversarial",
    "generator/identity": "generator: identity",
    "generator/perceptual": "generator: perceptual",
    "generator/pixel": "generator: pixel",
    "discriminator/adversarial": "discriminator: adversarial",
    "discriminator/mismatched": "discriminator: mismatched pairs",
}
_SHOWN = ("val/", "loss/", "generator/", "discriminator/adversarial", "discriminator/mismatched")
_HIDDEN = ("val/score_",)  # only their differences mean anything, which val/overfitting tells
_MAX_CURVES = 8
_MOMENTS = 5
_COLUMNS = 8
_TRUE_FACES, _DRAWINGS = 1, 3  # rows of a grid: true faces, and drawings from the regressed features
_NUM_ROWS = (4 + NUM_DRAWINGS, 3 + NUM_DRAWINGS)  # now, and in version 0.1


@dataclass(frozen=True)
class TrainingCurve:
    """A logged value over the training.

    Attributes:
        title: Name of the value.
        first: First value, as text.
        last: Last value, as text.
        chart: Curve as SVG.
    """

    title: str
    first: str
    last: str
    chart: Markup


@dataclass(frozen=True)
class TrainingRun:
    """One training run.

    Attributes:
        name: Name of the run folder.
        images_seen: Number of images seen so far.
        speed: Median throughput in images a second; None if it was not logged.
        curves: Curves of losses and validation scores.
        samples: Drawings of the same voices and noises, one strip for each of several moments, and the true faces;
            empty for a training that draws nothing.
    """

    name: str
    images_seen: int
    speed: float | None
    curves: list[TrainingCurve]
    samples: list[Picture]


def show_run(out: Path, folder: Path) -> TrainingRun | None:
    """Read a run folder and write its strips of samples to `out/assets`; None if nothing was logged."""
    lines = read_stats(folder)
    if not lines:
        return None
    names = list(dict.fromkeys(name for line in lines for name in line if name.startswith(_SHOWN)))
    names = [name for name in names if not name.startswith(_HIDDEN)]
    names.sort(key=lambda name: not name.startswith("val/"))  # scores on people whom the training does not see, first
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
        samples=_cut_samples(out, folder),
    )


def read_stats(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's stats.jsonl; empty without the file. A last line that was cut off is skipped."""
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


def _cut_samples(out: Path, folder: Path) -> list[Picture]:
    """Cut the row of drawings out of some of the grids of `gan.samples`, and the row of true faces out of the last."""
    grids = sorted((folder / "samples").glob("*.png"))
    if not grids:
        return []
    moments = [*spread(grids[:-1], _MOMENTS - 1), grids[-1]]
    strips = []
    for number, path in enumerate(moments):
        with Image.open(path) as picture:
            grid = np.asarray(picture.convert("RGB"))
        side = next((size for size in FACE_SIZES if grid.shape[0] in (size * rows for rows in _NUM_ROWS)), None)
        if side is None:
            return []  # not a grid of a training
        rows = [(_DRAWINGS, "drawings", f"{int(path.stem):,} images seen")]
        if number == len(moments) - 1:
            rows.append((_TRUE_FACES, "true-faces", "true faces"))
        for row, what, caption in rows:
            file = f"{ASSETS}/samples-{folder.name}-{number + 1}-{what}.png"
            Image.fromarray(grid[row * side : (row + 1) * side, : _COLUMNS * side]).save(out / file)
            text = f"Drawings after {caption}" if what == "drawings" else "The true faces of the same people"
            strips.append(Picture(file, text, caption))
    return strips
