from __future__ import annotations

import argparse
import re
from pathlib import Path

from data.videos.command import add_arguments, add_fetch_arguments, add_whole_video_arguments

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "videos.md").read_text(encoding="utf-8")


def test_the_page_on_videos_explains_every_reason_that_a_row_can_fail_for() -> None:
    sources = [
        *(ROOT / "data" / "videos").rglob("*.py"),
        *(ROOT / "data" / "media" / f"{name}.py" for name in ("audio", "decoding")),
    ]
    code = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    calls = r'(?:MediaError|BadRequest|ExtractedClips|refuse|_failed)\(\s*(?:\w+, |\[\], )?"([a-z-]+)"'
    raised = set(re.findall(calls, code))
    # Others stand in tables: by HTTP status, by message, by quality.
    raised |= set(re.findall(r'\b\d{3}: "([a-z-]+)"', code))
    raised |= set(re.findall(r'\(\s*"([a-z-]+)",\s*(?:r"|lambda)', code))
    explained = set(re.findall(r"`([a-z-]+)`", "\n".join(re.findall(r"^\| `.*?\|", PAGE, re.MULTILINE))))
    assert len(raised) > 20
    assert raised <= explained, f"not in docs/videos.md: {sorted(raised - explained)}"


def test_the_page_on_videos_names_every_flag() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    for add in (add_arguments, add_fetch_arguments, add_whole_video_arguments):
        add(parser)
    flags = {flag for action in parser._actions for flag in action.option_strings}
    named = set(re.findall(r"`(--[a-z-]+)", PAGE))
    assert flags <= named, f"not in docs/videos.md: {sorted(flags - named)}"
