"""The guard: limits on requests before gradio sees them."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from eval.app.guard import Guard
from eval.app.limits import Limits
from tests.app_visitor import form

LIMITS = Limits(max_bytes=1000, upload_seconds=0.2, waiting_bytes=200_000)
UPLOAD, CALL = "/gradio_api/upload", "/gradio_api/queue/join"


class Inner:
    """An application that remembers the bodies which reach it."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] == "POST":
            self.bodies.append((await receive())["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"fine"})


def ask(
    folder: Path,
    path: str,
    parts: Iterable[bytes | None],
    method: str = "POST",
    length: object = None,
    limits: Limits = LIMITS,
) -> tuple[int, str, list[bytes], dict[bytes, bytes]]:
    """Status, text, bodies that reached the application, headers; a part None is a visitor who hangs."""
    inner, sent = Inner(), []
    guard = Guard(inner, folder, limits)
    pending = list(parts)

    async def receive() -> dict[str, Any]:
        if not pending:
            return {"type": "http.disconnect"}
        part = pending.pop(0)
        if part is None:
            await asyncio.sleep(60)
        return {"type": "http.request", "body": part, "more_body": bool(pending)}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [] if length is None else [(b"content-length", str(length).encode())]
    asyncio.run(guard({"type": "http", "method": method, "path": path, "headers": headers}, receive, send))
    assert guard._waiting_bytes == 0
    if not sent:
        return 0, "", inner.bodies, {}
    return sent[0]["status"], sent[1]["body"].decode(), inner.bodies, dict(sent[0]["headers"])


def test_an_upload_reaches_the_application_whole(tmp_path: Path) -> None:
    status, text, bodies, _ = ask(tmp_path, UPLOAD, [b"one ", b"two"])
    assert (status, text, bodies) == (200, "fine", [b"one two"])


def test_equal_uploads_of_two_visitors_have_names_of_their_own(tmp_path: Path) -> None:
    body = form("../my voice.wav", b'filename="kept.wav"')[0]
    names = set()
    for _ in range(2):
        (stored,) = ask(tmp_path, UPLOAD, [body])[2]
        head, _, content = stored.partition(b"\r\n\r\n")
        found = re.search(rb'filename="([0-9a-f]{32}\.wav)"', head)
        assert found and b"my voice" not in stored and content.startswith(b'filename="kept.wav"')
        names.add(found[1])
    assert len(names) == 2


@pytest.mark.parametrize(
    ("path", "parts", "length", "status", "line"),
    [
        (UPLOAD, [b"x"], 2_000_000_000, 413, "the request is larger than 0.001 MB\n"),
        (UPLOAD, [b"x" * 9000] * 10, None, 413, "the request is larger than 0.001 MB\n"),
        (UPLOAD, [b"x"], "many", 413, "the request is larger than 0.001 MB\n"),
        (UPLOAD, [b"x", None], None, 408, "the request took longer than 0.2 s\n"),
        (CALL, [b" " * 70_000], None, 413, "the request is too large\n"),
        (CALL, [b"["], None, 400, "the request is no JSON\n"),
        (CALL, [b"[" * 60_000], None, 400, "the request is no JSON\n"),
        ("/gradio_api/run/hear_file", [b"{}"], None, 404, "the page sends no such request\n"),
    ],
)
def test_a_request_beyond_the_limits_is_one_line_and_goes_no_further(
    tmp_path: Path, path: str, parts: list[bytes | None], length: object, status: int, line: str
) -> None:
    assert ask(tmp_path, path, parts, length=length)[:3] == (status, line, [])


def test_uploads_together_are_limited_too(tmp_path: Path) -> None:
    limits = Limits(max_bytes=1000, waiting_bytes=500)
    status, line, bodies, _ = ask(tmp_path, UPLOAD, [b"x" * 600], limits=limits)
    assert (status, line, bodies) == (503, "too many uploads at once; try again in a minute\n", [])


def test_a_visitor_who_goes_away_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    inner_never = ask(tmp_path, UPLOAD, [])
    assert inner_never == (0, "", [], {})


def test_a_visitor_who_hangs_loses_the_connection(tmp_path: Path) -> None:
    assert ask(tmp_path, UPLOAD, [b"x", None])[3][b"connection"] == b"close"


def test_a_call_names_uploads_alone(tmp_path: Path) -> None:
    folder = tmp_path / "uploads"
    folder.mkdir()
    (folder / "me.wav").write_bytes(b"sound")
    (tmp_path / "secret.wav").write_bytes(b"sound")
    (folder / "link.wav").symlink_to(tmp_path / "secret.wav")

    def status_of(path: object, **more: object) -> int:
        body = json.dumps({"data": [{"path": path, **more}, 0.5]}).encode()
        return ask(folder, CALL, [body])[0]

    assert status_of(str(folder / "me.wav")) == 200
    assert status_of(str(folder / "me.wav"), url="http://127.0.0.1:7860/gradio_api/file=/me.wav") == 200
    for name in (
        f"{folder}/../secret.wav",
        str(tmp_path / "secret.wav"),
        str(folder / "link.wav"),
        str(folder / "gone.wav"),
        str(folder),
        "me.wav",
        "http://example.org/voice.wav",
        "/etc/passwd",
        "a\0b",
        "x" * 5000,
        7,
        ["a"],
    ):
        assert status_of(name) == 400, name
    assert status_of(str(folder / "me.wav"), url="http://example.org/voice.wav") == 400


def test_the_browser_is_told_to_ask_no_other_machine(tmp_path: Path) -> None:
    status, _, _, headers = ask(tmp_path, "/", [], method="GET")
    assert status == 200
    assert headers[b"content-security-policy"].startswith(b"default-src 'self'")
