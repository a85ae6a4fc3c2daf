from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from data.errors import REASONS, ConfigError
from data.videos.command import add_arguments, add_fetch_arguments, add_whole_video_arguments
from training.command import CommandParser

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGE = (DOCS / "videos.md").read_text(encoding="utf-8")


def reasons_of_tables(page: str) -> set[str]:
    """Words in the first column of the tables whose header is `reason`."""
    tables = re.findall(r"^\| reason \|.*\n\|[-|]+\n((?:\|.*\n)+)", page, re.MULTILINE)
    return {
        reason
        for table in tables
        for line in table.splitlines()
        for reason in re.findall(r"`(.*?)`", line.split("|")[1])
    }


def test_the_pages_explain_exactly_the_reasons_that_there_are() -> None:
    explained = reasons_of_tables(PAGE) | reasons_of_tables((DOCS / "dataset.md").read_text(encoding="utf-8"))
    assert explained == set(REASONS)


def test_the_page_on_videos_names_every_flag() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    for add in (add_arguments, add_fetch_arguments, add_whole_video_arguments):
        add(parser)
    shown = [action for action in parser._actions if action.help != argparse.SUPPRESS]
    flags = {flag for action in shown for flag in action.option_strings}
    named = set(re.findall(r"`(--[a-z-]+)", PAGE))
    assert flags <= named, f"not in docs/videos.md: {sorted(flags - named)}"


def test_a_flag_that_would_change_nothing_is_refused_by_name() -> None:
    parser = CommandParser(prog="prepare.py")
    add_arguments(parser)
    with pytest.raises(ConfigError, match="voices are mono in any case: leave --mono out"):
        parser.parse_args(["--out", "x", "--mono"])
