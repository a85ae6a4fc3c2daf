"""Prepare a data set from a folder of videos, or from a CSV of videos by channel.

python scripts/prepare_videos.py --root my-videos --out datasets/mine
python scripts/prepare_videos.py --csv youtubers.csv --out datasets/youtubers

A folder holds ROOT/<identity>/*.mp4, or ROOT/*.mp4 of which each is a person. A CSV has a header with channel and
video_id (an id or a YouTube address), and may have start, end, sex, age, nationality; the channel counts as the person.
Where no start and end are given, clips are cut out where somebody speaks.
A run that was stopped goes on where it stopped when the same command is given again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from data.errors import ConfigError
from data.sources.command import format_warnings
from data.videos.command import add_arguments, add_fetch_arguments, add_whole_video_arguments, run
from data.videos.plan.lists import list_folder, read_channels
from training.command import CommandParser, run_command


def main(argv: list[str]) -> None:
    """Parse, list, prepare, print the outcomes."""
    parser = CommandParser(
        prog="prepare_videos.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--root", type=Path, help="folder of videos")
    source.add_argument("--csv", type=Path, help="list of videos by channel")
    parser.add_argument(
        "--attributes",
        type=Path,
        help="with --root: CSV with identity and any of video (a path below ROOT), sex (or gender), age, nationality",
    )
    add_arguments(parser)
    add_whole_video_arguments(parser)
    add_fetch_arguments(parser)
    given = parser.parse_args(argv)
    if given.attributes and not given.root:
        raise ConfigError("--attributes goes with --root; in a list by channel these are columns")
    listing = list_folder(given.root, given.attributes) if given.root else read_channels(given.csv)
    for line in format_warnings(listing.warnings):
        print(line, file=sys.stderr)
    run(given, listing.requests, downloads=given.root is None)


if __name__ == "__main__":
    run_command(main)
