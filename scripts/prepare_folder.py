"""Prepare a data set from a folder ROOT/<identity>/{voices,faces}/*."""

from __future__ import annotations

from pathlib import Path

from data.sources.command import add_arguments, read_settings, summarize
from data.sources.prepare import PrepareConfig, prepare_folder
from training.command import CommandParser, run_command


def parse(argv: list[str]) -> PrepareConfig:
    """The command line as a config."""
    parser = CommandParser(prog="prepare_folder.py", description=__doc__)
    add = parser.add_argument
    add("--root", type=Path, required=True, help="folder with ROOT/<identity>/{voices,faces}/*")
    add("--extra-faces", type=Path, nargs="+", action="extend", default=[], help="more roots, faces only")
    add(
        "--attributes",
        type=Path,
        help="CSV with the columns identity and any of sex (or gender), age, nationality",
    )
    add_arguments(parser)
    given = parser.parse_args(argv)
    return PrepareConfig(
        root=given.root,
        extra_faces=tuple(given.extra_faces),
        attributes=given.attributes,
        **read_settings(given),
    )


def main(argv: list[str]) -> None:
    """Prepare and print the summary."""
    config = parse(argv)
    print(summarize(config.out, prepare_folder(config)))


if __name__ == "__main__":
    run_command(main)
