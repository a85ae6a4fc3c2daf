"""How far the demo's steps are and how fast they were, read from the folders that they write."""

from __future__ import annotations

from pathlib import Path

import yaml

from data.errors import DatasetError
from data.store.shards import read_info
from eval.pages.model.runs import read_stats


def share_trained(run: Path) -> float | None:
    """The finished share of a training in [0, 1], from its run folder; None before its first line of statistics."""
    lines = read_stats(run)
    try:
        total = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))["total_images"]
        return min(1.0, lines[-1]["images_seen"] / total) if lines else None
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return None  # not there yet, or being written


def training_rates(run: Path) -> list[str]:
    """The median throughput of a training, from its statistics; empty without any."""
    speeds = sorted(line["speed/images_per_second"] for line in read_stats(run) if "speed/images_per_second" in line)
    return [f"{speeds[len(speeds) // 2]:,.0f} images/s"] if speeds else []


def population_rates(dataset: Path, seconds: float) -> list[str]:
    """Pictures and recordings a second of a data set that was made in so many seconds; empty if it is not there."""
    try:
        info = read_info(dataset)
    except DatasetError:
        return []
    counts = {"images": info.num_faces, "clips": info.num_voices}
    return [f"{sum(count.values()) / max(seconds, 1e-3):,.0f} {what}/s" for what, count in counts.items()]
