"""The origin of a report's numbers: weights, data, split, settings and state of the code."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
import yaml

from data.faces.protocol import FaceEncoderInfo
from data.store.dataset import ClipDataset
from data.workers import count_cores
from eval.model_under_test import ModelUnderTest


def collect_provenance(
    model: ModelUnderTest,
    dataset: ClipDataset,
    split: str,
    judges: Sequence[FaceEncoderInfo],
    settings: dict[str, Any],
) -> dict[str, Any]:
    """The keys that every part of report.json begins with.

    Args:
        model: The model.
        dataset: The judged split.
        split: Name of the split.
        judges: E and other judges; none where nothing is drawn.
        settings: Settings of the evaluation by name.
    """
    return {
        "model": describe_model(model),
        "dataset": describe_dataset(dataset, split),
        "training_face_network": describe_network(model.face_encoder),
        "judge": describe_network(judges[0] if judges else None),
        "other_judges": [describe_network(judge) for judge in judges[1:]],
        "code": describe_code(),
        "settings": settings,
    }


def describe_code() -> dict[str, Any]:
    """The commit of this code, whether files were changed since (both None without a git checkout), and versions."""
    folder = Path(__file__).resolve().parent

    def git(*arguments: str) -> str | None:
        try:
            result = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=20)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return result.stdout.strip() if result.returncode == 0 else None

    status = git("status", "--porcelain", "--untracked-files=no")
    return {
        "commit": git("rev-parse", "HEAD"),
        "changed_since": None if status is None else bool(status),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def describe_machine() -> str:
    """Processor, cores that this process may use, memory and GPU, in a few words."""
    processor = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass  # not Linux, or a processor without a name
    num_cores = count_cores()
    parts = [processor, f"{num_cores} core{'s' if num_cores > 1 else ''}"]
    parts.append(f"{psutil.virtual_memory().total / 2**30:.0f} GB of memory")
    parts.append(torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU")
    return ", ".join(parts)


def describe_model(model: ModelUnderTest) -> dict[str, Any]:
    """The model's source, hash, type and size, and the config of its training where that lies beside its folder."""
    whole = model.encoder if model.voice2face is None else model.voice2face
    config = Path(model.source).parent / "config.yaml"
    training: Any = None
    if Path(model.source).is_dir() and config.is_file():
        try:
            training = yaml.safe_load(config.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError):
            training = None  # a report can do without the training's config
    return {
        "source": model.source,
        "type": whole.model_type,
        "sha256": model.sha256,
        "parameters": sum(parameter.numel() for parameter in whole.parameters()),
        "backbone": model.encoder.config.backbone,
        "training_config": training,
    }


def describe_dataset(dataset: ClipDataset, split: str) -> dict[str, Any]:
    """The data set's counts in the split, and the hash of who is in which split."""
    info = dataset.info
    return {
        "root": str(dataset.root),
        "split": split,
        "identities": len(dataset.identities),
        "clips": len(dataset),
        "clips_with_voice": int(dataset.has_voice.sum()),
        "faces": int(dataset.num_faces.sum()),
        "face_size": info.face_size,
        "split_seed": info.split.seed,
        "split_sha256": info.split.sha256,
        "schema_version": info.schema_version,
    }


def describe_network(info: FaceEncoderInfo | None) -> dict[str, Any] | None:
    """A face network's name, hash and feature size, without the path of its file."""
    if info is None:
        return None
    return {key: value for key, value in asdict(info).items() if key != "path"}
