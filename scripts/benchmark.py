"""Measure the speed of a training step, of the preparation of videos, or of ranks in a large gallery."""

from __future__ import annotations

from pathlib import Path

from data.errors import ConfigError
from training.command import CommandParser, run_command


def main(argv: list[str]) -> None:
    """Parse, measure, print."""
    parser = CommandParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="a step of the adversarial training, in fp32 and in bf16")
    train.add_argument("--image-size", type=int, default=64, help="side of the images in pixels (default: %(default)s)")
    train.add_argument("--steps", type=int, default=8, help="measured steps in each precision (default: %(default)s)")
    train.add_argument("--threads", type=int, help="threads of torch (default: its own choice)")
    prepare = commands.add_parser("prepare", help="from a list of videos to shards, compared with the classic pipeline")
    add = prepare.add_argument
    add("--clips", type=int, default=24, help="clips of each run of our preparation (default: %(default)s)")
    add("--classic-clips", type=int, default=2, help="clips of each run of the classic pipeline (default: %(default)s)")
    add("--seconds", type=float, default=6.0, help="duration of the clips (default: %(default)s)")
    add("--rounds", type=int, default=2, help="rounds over all methods (default: %(default)s)")
    add("--insightface", metavar="PACK", help="also measure with insightface:PACK")
    add("--insightface-root", help="holds models/PACK/*.onnx (default: ~/.insightface)")
    add(
        "--rows",
        type=int,
        help="measure memory over so many rows instead, and the time for a row of short and long lists",
    )
    add(
        "--lists",
        type=int,
        nargs="+",
        metavar="LENGTH",
        default=(1_000, 1_000_000),
        help="lengths of the lists, with --rows",
    )
    add("--work", type=Path, help="folder for videos and results, which is kept (default: a temporary one)")
    retrieval = commands.add_parser("retrieval", help="exact ranks in a gallery of a million faces")
    add = retrieval.add_argument
    add("--items", type=int, default=1_000_000, help="vectors in the gallery (default: %(default)s)")
    add("--queries", type=int, default=1_000, help="queries (default: %(default)s)")
    add("--size", type=int, default=512, help="numbers in a vector (default: %(default)s)")
    add("--threads", type=int, help="threads of torch (default: its own choice)")
    add("--device", help="cpu, cuda, cuda:1 ... (default: a GPU where there is one)")
    given, keys = parser.parse_known_args(argv)
    # Imported here: each needs libraries that the other does not.
    if given.command == "train":
        from eval.benchmarks import training

        training.measure(given, keys)
    elif keys:
        raise ConfigError(f"unrecognized arguments: {' '.join(keys)} (see benchmark.py {given.command} --help)")
    elif given.command == "retrieval":
        from eval.benchmarks import retrieval as ranking

        ranking.measure(given)
    else:
        from eval.benchmarks import preparation

        preparation.measure(given)


if __name__ == "__main__":
    run_command(main)
