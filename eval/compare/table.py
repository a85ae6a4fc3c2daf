"""The table of a comparison, from the reports of all methods."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch
from scipy import stats

from data.errors import ConfigError
from eval.compare.plan import Comparison, step_name
from eval.pages.model.runs import read_stats
from eval.report.folder import read_parts
from gan.voice2face import Voice2Face
from training.pipeline import StepRecord

_TIMED_DRAWINGS = 64


@dataclass(frozen=True)
class Value:
    """A measured number.

    Attributes:
        mean: Mean over seeds.
        low: Lower end of its 95 % interval: over seeds (Student's t), of one seed over people (bootstrap).
        high: Upper end.
    """

    mean: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Row:
    """A method at one variety.

    Attributes:
        method: Name of the method.
        title: Name in tables.
        variety: Variety of the drawings; None for a method without.
        k: Number of first faces that the recall counts: 10, or fewer in a smaller gallery.
        recall: Image-space R@k of one drawing.
        chance: Its value by chance.
        gallery: Number of people in the gallery.
        frechet_distance: Distance of drawings from real faces in E's space.
        faces_found: Share of drawings in which a detector finds a face.
        sex: Share of drawings with the speaker's sex; None where it isn't known.
        two_drawings: Centred cosine by E of two drawings of a voice.
        photograph: The same of a drawing and the speaker's photograph.
        minutes: Minutes that its trainings took, starts, samples, validation and checkpoints included; of a training
            that was interrupted, those since.
        training_ms: Milliseconds of training an image, in the last training.
        drawing_ms: Milliseconds of drawing an image from a face feature, without the voice encoder.
        parameters: Weights of voice encoder and generator.
        images: Images of the last training.
    """

    method: str
    title: str
    variety: float | None
    k: int
    recall: Value
    chance: float
    gallery: int
    frechet_distance: Value | None
    faces_found: Value | None
    sex: Value | None
    two_drawings: Value
    photograph: Value
    minutes: float
    training_ms: float
    drawing_ms: float
    parameters: int
    images: int


def collect_rows(comparison: Comparison, steps: Sequence[StepRecord]) -> list[Row]:
    """Read all reports; one row a method and variety.

    Args:
        comparison: The comparison.
        steps: Records of its steps.

    Raises:
        ConfigError: If a report is missing.
    """
    rows = []
    seconds_of = {step.name: step.seconds for step in steps}
    for method in comparison.methods:
        reports = [_retrieval(comparison.report(seed, method)) for seed in comparison.seeds]
        runs = [comparison.run(seed, method.stages[-1]) for seed in comparison.seeds]
        speeds = [
            line["speed/ms_per_image"] for run in runs for line in read_stats(run) if "speed/ms_per_image" in line
        ]
        seconds = sum(
            seconds_of[step_name(comparison.run(s, stage))] for s in comparison.seeds for stage in method.stages
        )
        drawing = _drawing_ms(Voice2Face.from_pretrained(comparison.model(comparison.seeds[0], method)))
        for number, point in enumerate(reports[0]["varieties"]):
            points = [report["varieties"][number] for report in reports]
            k = "10" if "10" in point["recall_one"] else max(point["recall_one"], key=int)
            rows.append(
                Row(
                    method=method.name,
                    title=method.title,
                    variety=point["variety"] if len(reports[0]["varieties"]) > 1 else None,
                    k=int(k),
                    recall=_value([p["recall_one"][k] for p in points], point["recall_one_ci95"][k]),
                    chance=point["chance"][k],
                    gallery=point["gallery"],
                    frechet_distance=_optional(points, "frechet_distance"),
                    faces_found=_optional(points, "faces_found"),
                    sex=_optional(points, "sex_agreement", "sex_ci95"),
                    two_drawings=_value([p["two_drawings"] for p in points], point["two_drawings_ci95"]),
                    photograph=_value([p["photograph"] for p in points], point["photograph_ci95"]),
                    minutes=seconds / len(comparison.seeds) / 60,
                    training_ms=float(np.median(speeds)) if speeds else float("nan"),
                    drawing_ms=drawing,
                    parameters=reports[0]["model"]["parameters"],
                    images=int((read_stats(runs[0]) or [{"images_seen": 0}])[-1]["images_seen"]),
                )
            )
    return rows


def _retrieval(folder: Any) -> dict[str, Any]:
    part = read_parts(folder).get("retrieval")
    if part is None or not part.get("varieties"):
        raise ConfigError(f"{folder}: no retrieval report with drawings; remove the folder, and run the command again")
    return part


def _optional(points: Sequence[dict[str, Any]], key: str, interval: str = "") -> Value | None:
    values = [point.get(key) for point in points]
    if any(value is None for value in values):
        return None
    return _value([float(value) for value in values if value is not None], points[0].get(interval))


def _value(values: Sequence[float], interval_of_one: Sequence[float] | None) -> Value:
    if len(values) == 1:
        low, high = interval_of_one if interval_of_one else (None, None)
        return Value(values[0], low, high)
    margin = float(stats.t.ppf(0.975, len(values) - 1)) * stdev(values) / len(values) ** 0.5
    return Value(mean(values), mean(values) - margin, mean(values) + margin)


@torch.no_grad()
def _drawing_ms(model: Voice2Face) -> float:
    feature = torch.randn(_TIMED_DRAWINGS, model.encoder.condition_size)
    model.draw(feature)  # the first call also allocates
    start = time.perf_counter()
    model.draw(feature)
    return 1000 * (time.perf_counter() - start) / _TIMED_DRAWINGS
