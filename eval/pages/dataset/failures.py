"""Outcomes of the files and requests that a data set was made from: failures by reason, and flags."""

from __future__ import annotations

import collections
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data.sources.prepare import FAILURES_NAME
from data.store.dataset import ClipDataset
from eval.pages.dataset.counts import Meter, meters

_MOST = 16


@dataclass(frozen=True)
class Outcomes:
    """Counts of outcomes.

    Attributes:
        num_published: Number of requests with clips; None if only failures are listed.
        num_failed: Number of files or requests that could not be used.
        reasons: Failures by reason, each with an example.
    """

    num_published: int | None
    num_failed: int
    reasons: list[Meter]


def read_outcomes(folder: Path) -> Outcomes | None:
    """Read a data set's failures by reason; None if it keeps no list of them.

    Lines that can't be read are skipped: the page shows what is there.
    """
    lists = sorted(folder.glob("rows-*.jsonl"))
    failures = folder / FAILURES_NAME
    if not lists and not failures.is_file():
        return None
    reasons: collections.Counter[str] = collections.Counter()
    examples: dict[str, str] = {}
    num_published = 0
    for path in [*lists, *([failures] if failures.is_file() else [])]:
        for line in _lines(path):
            reason = line.get("reason")
            if line.get("state") == "published":
                num_published += 1
            elif isinstance(reason, str):
                reasons[reason] += 1
                examples.setdefault(reason, str(line.get("message") or ""))
    return Outcomes(num_published if lists else None, reasons.total(), meters(reasons, _MOST, examples))


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8", errors="replace") as file:
        for text in file:
            try:
                line = json.loads(text)
            except ValueError:
                continue
            if isinstance(line, dict):
                yield line


def count_flags(dataset: ClipDataset) -> list[Meter]:
    """Count the flags of clips; empty if the data set has none."""
    counts: collections.Counter[str] = collections.Counter()
    for name in dataset.info.shards:
        try:
            with pq.ParquetFile(dataset.root / name) as file:
                if "flags" not in file.schema_arrow.names:
                    continue
                flags = file.read(["flags"], use_threads=False)["flags"].to_pylist()
        except (OSError, pa.ArrowException):
            continue  # opening the data set has read every shard, so damage is reported there
        counts.update(word for text in flags for word in (text or "").split())
    return meters(counts, _MOST)
