"""What the commands that prepare recordings and photographs of people have in common: arguments and summary."""

from __future__ import annotations

import argparse
import collections
import os
from pathlib import Path
from typing import Any

from data.faces.alignment import FACE_SIZES
from data.faces.protocol import DEVICES
from data.media.decoding import MAX_SECONDS
from data.sources.clips import Recipe
from data.sources.prepare import FAILURES_NAME, Prepared
from data.store.clip import SPLITS
from data.store.split import DEFAULT_FRACTIONS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add all that does not depend on where people come from."""
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder of the data set")
    add("--face-analyzer", required=True, help="insightface:<pack>, dlib, dlib:cnn, or aligned:<face network>")
    add("--insightface-root", help="holds models/<pack>/*.onnx (default: ~/.insightface)")
    add("--device", choices=DEVICES, default="cpu", help="where face networks run (default: %(default)s)")
    add(
        "--face-size",
        type=int,
        default=128,
        choices=FACE_SIZES,
        help="side of the crops (default: %(default)s)",
    )
    add("--voice-activity", choices=("silero", "none"), default="silero", help="whether silence is cut")
    add(
        "--max-seconds",
        type=float,
        default=MAX_SECONDS,
        help="longer recordings are refused (default: %(default)s)",
    )
    add("--seed", type=int, default=0, help="of the split by identity")
    add("--split-fractions", type=float, nargs=3, default=DEFAULT_FRACTIONS, metavar=("TRAIN", "VAL", "TEST"))
    add("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one a CPU)")
    add("--overwrite", action="store_true", help="replace a data set that was made from something else")


def read_settings(given: argparse.Namespace) -> dict[str, Any]:
    """What was given of the above, as fields of `PeopleConfig`."""
    return {
        "out": given.out,
        "recipe": Recipe(
            face_analyzer=given.face_analyzer,
            insightface_root=given.insightface_root,
            device=given.device,
            face_size=given.face_size,
            voice_activity=given.voice_activity,
            max_seconds=given.max_seconds,
        ),
        "seed": given.seed,
        "split_fractions": tuple(given.split_fractions),
        "num_workers": given.workers,
        "overwrite": given.overwrite,
    }


def summarize(out: Path, prepared: Prepared) -> str:
    """What was prepared and what was not, as a table."""
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
    return "\n".join(lines)
