"""Measure speed: of a training step, of preparing videos."""

from __future__ import annotations

from pathlib import Path

from data.errors import ConfigError
from training.command import CommandParser, run_command


def main(argv: list[str]) -> None:
    """Parse, measure, print."""
    parser = CommandParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="a whole step of the adversarial training, fp32 and bf16")
    train.add_argument("--image-size", type=int, default=64, help="(default: %(default)s)")
    train.add_argument("--steps", type=int, default=8, help="measured steps a precision (default: %(default)s)")
    train.add_argument("--threads", type=int, help="torch threads (default: torch's own choice)")
    prepare = commands.add_parser("prepare", help="from a list of videos to shards, beside the plain way")
    add = prepare.add_argument
    add("--clips", type=int, default=24, help="clips that each of our runs prepares (default: %(default)s)")
    add("--classic-clips", type=int, default=2, help="of these, prepared the plain way (default: %(default)s)")
    add("--seconds", type=float, default=6.0, help="length of the clips (default: %(default)s)")
    add("--rounds", type=int, default=2, help="times that all take their turn (default: %(default)s)")
    add("--insightface", metavar="PACK", help="measure insightface:PACK as well")
    add("--insightface-root", help="holds models/PACK/*.onnx (default: ~/.insightface)")
    add("--rows", type=int, help="instead: memory over as many rows, and the cost a row of short and long lists")
    add(
        "--lists",
        type=int,
        nargs="+",
        metavar="LENGTH",
        default=(1_000, 1_000_000),
        help="with --rows: lengths of lists",
    )
    add("--work", type=Path, help="folder for videos and results, kept (default: a temporary one)")
    given, keys = parser.parse_known_args(argv)
    # Each brings libraries that the other does without.
    if given.command == "train":
        from eval.benchmarks import training

        training.measure(given, keys)
    elif keys:
        raise ConfigError(f"unrecognized arguments: {' '.join(keys)} (see benchmark.py prepare --help)")
    else:
        from eval.benchmarks import preparation

        preparation.measure(given)


if __name__ == "__main__":
    run_command(main)
