"""A written report on stdout, and a copy in Weights & Biases; the report's folder stays the authority."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from eval.report.folder import Kind, read_parts
from training.command import print_result
from training.trackers import Trackers

_TABLES = (
    *("results", "floors", "bounds", "groups", "lengths", "listening"),
    *("varieties", "f2f_by_training_network", "by_other_judges"),
)


def finish_report(
    arguments: argparse.Namespace, trackers: Trackers, out: Path, kind: Kind, lines: Iterable[str]
) -> None:
    """Mirror a part of a report that was written, and print what it says.

    Args:
        arguments: The command's arguments.
        trackers: Open trackers; they are closed.
        out: Folder of the report.
        kind: Name of the part; `--json` prints it as report.json holds it.
        lines: What is printed without `--json`, before the report's path.
    """
    upload = mirror_report(trackers, out, kind)
    last = [f"report: {out / 'report.md'}"] + ([f"to upload it: {upload}"] if upload is not None else [])
    print_result(arguments, read_parts(out)[kind], [*lines, *last])


def mirror_report(trackers: Trackers, folder: Path, kind: Kind) -> str | None:
    """Log the tables, pictures and headlines of a report's part and close the trackers.

    Args:
        trackers: Open trackers.
        folder: Folder with report.json and its pictures.
        kind: Name of the part.

    Returns:
        The command that uploads an offline W&B run, where there is one.
    """
    report = read_parts(folder)[kind]
    for name in _TABLES:
        if report.get(name):
            columns, rows = as_table(report[name])
            trackers.log_table(f"{kind}/{name}", columns, rows, 0)
    for name, file in report["pictures"].items():
        with Image.open(folder / file) as picture:
            trackers.log_image(f"{kind}/{name}", np.asarray(picture.convert("RGB")), 0)
    trackers.log_scalars(headline_numbers(report), 0)
    return trackers.finish()


def as_table(entries: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows of a report's entries: `recall: {"1": ..}` becomes a column `recall@1`."""
    flat = []
    for entry in entries:
        row: dict[str, Any] = {}
        for key, value in entry.items():
            if isinstance(value, dict):
                row |= {f"{key}@{k}": _cell(item) for k, item in value.items()}
            else:
                row[key] = _cell(value)
        flat.append(row)
    columns = list(dict.fromkeys(column for row in flat for column in row))
    return columns, [[row.get(column) for column in columns] for row in flat]


def _cell(value: Any) -> Any:
    """An interval becomes text, since a cell holds one value."""
    return " to ".join(f"{number:.4g}" for number in value) if isinstance(value, list) else value


def headline_numbers(report: dict[str, Any]) -> dict[str, float]:
    """The headline numbers of a report: recalls of the primary metrics in the first gallery, rates, image distances."""
    numbers: dict[str, float] = {}
    for entry in report["results"]:
        if entry["task"] == "image_quality":
            numbers[f"{entry['feature_space']}/frechet_distance"] = entry["frechet_distance"]
            numbers[f"{entry['feature_space']}/kid"] = entry["kid"]
        elif entry["task"] == "verification":
            if entry["others"] == "all" and "language" not in entry:
                numbers["verification/equal_error_rate"] = entry["equal_error_rate"]
                numbers["verification/area_under_curve"] = entry["area_under_curve"]
        elif entry["task"] == "matching":
            if entry["others"] == "all":
                numbers[f"matching/{entry['direction']}/1_of_{entry['candidates']}"] = entry["accuracy"]
        elif entry["metric"] == report["primary_metrics"][entry["space"]]:
            for k, rate in entry["recall"].items():
                numbers.setdefault(f"{entry['space']}/recall@{k}", rate)
    return numbers
