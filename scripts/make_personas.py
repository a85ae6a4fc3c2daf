"""Make a data set of personas: made-up people whose faces and voices have some of their causes in common."""

from __future__ import annotations

import os
import time
from pathlib import Path

# Set before numpy and torch are imported: each of the worker processes, one a core, computes in one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from data.faces.alignment import FACE_SIZES
from data.personas.build import Built, PersonasConfig, build_personas
from data.store.clip import SPLITS
from data.store.split import DEFAULT_FRACTIONS
from data.workers import count_cores
from training.command import CommandParser, run_command


def parse(argv: list[str]) -> PersonasConfig:
    """The command line as a config."""
    parser = CommandParser(prog="make_personas.py", description=__doc__)
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder of the data set")
    add("--identities", type=int, default=2000, help="personas (default: %(default)s)")
    add("--images", type=int, default=6, help="pictures of each (default: %(default)s)")
    add("--clips", type=int, default=4, help="recordings of each (default: %(default)s)")
    add(
        "--face-size",
        type=int,
        default=64,
        choices=FACE_SIZES,
        help="side of the pictures in pixels (default: %(default)s)",
    )
    add("--seed", type=int, default=0, help="seed of everything random and of the split by identity")
    add(
        "--face-encoder",
        default="personas",
        help="network that makes the face features: personas (it ships with the project), the folder of a trained one, "
        "insightface:<pack> or dlib (default: %(default)s)",
    )
    add("--insightface-root", help="holds models/<pack>/*.onnx (default: ~/.insightface)")
    add("--split-fractions", type=float, nargs=3, default=DEFAULT_FRACTIONS, metavar=("TRAIN", "VAL", "TEST"))
    add("--workers", type=int, default=count_cores(), help="worker processes (default: one a core)")
    add("--overwrite", action="store_true", help="replace a data set that was made with other settings")
    given = parser.parse_args(argv)
    return PersonasConfig(
        out=given.out,
        num_identities=given.identities,
        num_images=given.images,
        num_clips=given.clips,
        face_size=given.face_size,
        seed=given.seed,
        face_encoder=given.face_encoder,
        insightface_root=given.insightface_root,
        split_fractions=tuple(given.split_fractions),
        num_workers=given.workers,
        overwrite=given.overwrite,
    )


def summarize(out: Path, built: Built, wall_seconds: float) -> str:
    """What was made and how fast, as a table in text."""
    info = built.info
    lines = [f"{out} was made before with the same settings: nothing to do" if built.was_there else f"{out} is ready"]
    lines.append(f"{'split':<8}{'personas':>10}{'clips':>8}{'images':>8}")
    for split in SPLITS:
        counts = (info.num_clips[split], info.num_faces[split])
        lines.append(f"{split:<8}{info.num_identities[split]:>10}" + "".join(f"{count:>8}" for count in counts))
    lines.append(f"face features: {info.face_encoder.name}, sha256 {info.face_encoder.sha256[:16]}")
    lines.append(f"split: seed {info.split.seed}, sha256 {info.split.sha256[:16]}")
    if any(built.num_made.values()):
        rates = ", ".join(
            f"{number / wall_seconds:.0f} {what} a second ({number / built.seconds[what]:.0f} by a core on its own)"
            for what, number in built.num_made.items()
        )
        lines.append(f"{wall_seconds:.0f} s: {rates}")
    return "\n".join(lines)


def main(argv: list[str]) -> None:
    """Parse, make the data set, print a summary."""
    config = parse(argv)
    begin = time.perf_counter()
    built = build_personas(config)
    print(summarize(config.out, built, time.perf_counter() - begin))


if __name__ == "__main__":
    run_command(main)
