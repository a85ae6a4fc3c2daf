"""The part that commands share which prepare recordings and photographs of people: arguments and summary."""

from __future__ import annotations

import argparse
import collections
from pathlib import Path
from typing import Any

from data.media.decoding import MAX_SECONDS
from data.sources.arguments import (
    add_face_arguments,
    add_private_argument,
    add_split_arguments,
    add_voice_activity_argument,
    face_settings,
)
from data.sources.clips import Recipe
from data.sources.prepare import FAILURES_NAME, Prepared
from data.store.clip import SPLITS
from data.workers import count_cores

_MAX_WARNINGS = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add all that does not depend on where people come from."""
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder of the data set")
    add_face_arguments(parser)
    add_voice_activity_argument(parser)
    add(
        "--max-seconds",
        type=float,
        default=MAX_SECONDS,
        help="longest recording that is accepted (default: %(default)s)",
    )
    add_split_arguments(parser)
    add_private_argument(parser)
    add("--workers", type=int, default=count_cores(), help="processes (default: one a core)")
    add("--overwrite", action="store_true", help="replace a data set that was made from something else")


def read_settings(given: argparse.Namespace) -> dict[str, Any]:
    """The given arguments, as fields of `PeopleConfig`."""
    return {
        "out": given.out,
        "recipe": Recipe(
            **face_settings(given),
            voice_activity=given.voice_activity,
            max_seconds=given.max_seconds,
        ),
        "seed": given.seed,
        "split_fractions": tuple(given.split_fractions),
        "num_workers": given.workers,
        "overwrite": given.overwrite,
        "is_private": given.private,
    }


def format_warnings(warnings: list[str]) -> list[str]:
    """The first warnings as lines, and how many more there are."""
    lines = [f"warning: {warning}" for warning in warnings[:_MAX_WARNINGS]]
    if (num_more := len(warnings) - _MAX_WARNINGS) > 0:
        lines.append(f"warning: {num_more} more of this kind")
    return lines


def summarize(out: Path, prepared: Prepared) -> str:
    """A table of what was prepared, counts of failures, and warnings."""
    info = prepared.info
    lines = [
        f"{out} was prepared before from the same files: nothing to do" if prepared.was_there else f"{out} is ready"
    ]
    lines.append(f"{'split':<8}{'people':>8}{'clips':>8}{'voices':>8}{'faces':>8}")
    for split in SPLITS:
        counts = (info.num_identities, info.num_clips, info.num_voices, info.num_faces)
        lines.append(f"{split:<8}" + "".join(f"{count[split]:>8}" for count in counts))
    lines.append(f"face features: {info.face_encoder.name}, sha256 {info.face_encoder.sha256[:16]}")
    lines.append(f"split: seed {info.split.seed}, sha256 {info.split.sha256[:16]}")
    lines.append("known of people: " + ", ".join(f"{name} {n}" for name, n in info.attribute_coverage.items()))
    reasons = collections.Counter(failure.reason for failure in prepared.failures)
    if reasons:
        lines.append(f"{len(prepared.failures)} failures, see {out / FAILURES_NAME}:")
        lines += [f"  {count:>6}  {reason}" for reason, count in reasons.most_common()]
    return "\n".join([*lines, *format_warnings(prepared.warnings)])
