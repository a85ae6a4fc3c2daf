from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_the_page_on_videos_explains_every_reason_that_a_row_can_fail_for() -> None:
    sources = [*(ROOT / "data" / "videos").glob("*.py"), ROOT / "data" / "audio.py", ROOT / "data" / "media.py"]
    code = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    calls = r'(?:MediaError|BadRow|DescribedVideo|refuse|_failed)\(\s*(?:\w+, |\[\], )?"([a-z-]+)"'
    raised = set(re.findall(calls, code))
    # Others stand in tables: by HTTP status, by message, by quality.
    raised |= set(re.findall(r'\b\d{3}: "([a-z-]+)"', code))
    raised |= set(re.findall(r'\(\s*"([a-z-]+)",\s*(?:r"|lambda)', code))
    page = (ROOT / "docs" / "videos.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"`([a-z-]+)`", "\n".join(re.findall(r"^\| `.*?\|", page, re.MULTILINE))))
    assert len(raised) > 20
    assert raised <= explained, f"not in docs/videos.md: {sorted(raised - explained)}"
