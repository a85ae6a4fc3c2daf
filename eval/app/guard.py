"""What stands between visitors and gradio: limits on every request, before any of it is on a disk.

An upload is collected in memory and handed over when it is complete. gradio would write it to a file as it arrives, and
leave that file behind when the visitor goes away in the middle.
"""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from eval.app.limits import Limits

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_UPLOAD = "/upload"
_CALLS = ("/queue/join", "/cancel", "/reset")  # what gradio's page sends besides uploads
_CALL_BYTES = 1 << 16
_FORM_BYTES = 1 << 14  # around the file of an upload
_HEAD_BYTES = 1 << 11  # in which the name of the file is
_POLICY = (
    # gradio's scripts need the unsafe ones; nothing may be fetched from, or sent to, another machine.
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; form-action 'none'; base-uri 'self'"
)


class RefusedError(Exception):
    """A request that is answered with a status and one line."""

    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status = status


class Guard:
    """ASGI middleware that passes on what gradio's own page sends, whole and within limits."""

    def __init__(self, app: Application, folder: Path, limits: Limits) -> None:
        """Stand before an application.

        Args:
            app: gradio's application.
            folder: Folder of uploads: the only files that a request may name.
            limits: Limits.
        """
        self._app, self._folder, self._limits = app, folder.resolve(), limits
        self._waiting_bytes = 0
        self._storing = asyncio.Lock()  # one upload at a time is written

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, _with_policy(send))
            return
        try:
            body = await self._read(scope, receive)
        except RefusedError as refusal:
            await _answer(send, refusal)
            return
        if body is None:
            return
        is_passed = False

        async def replay() -> Message:
            nonlocal is_passed
            if is_passed:
                return await receive()  # until the visitor goes away
            is_passed = True
            return {"type": "http.request", "body": body, "more_body": False}

        if not scope["path"].endswith(_UPLOAD):
            await self._app(scope, replay, send)
            return
        answer: list[Message] = []

        async def keep(message: Message) -> None:
            answer.append(message)

        async with self._storing:
            try:
                await self._app(scope, replay, keep)
            finally:
                self._delete_parts()
        for message in answer:
            await send(message)

    def _delete_parts(self) -> None:
        """Delete what gradio leaves of a form that it refuses; files that it accepts lie in folders of their own."""
        for path in self._folder.iterdir():
            if path.is_file():
                path.unlink(missing_ok=True)

    async def _read(self, scope: MutableMapping[str, Any], receive: Receive) -> bytes | None:
        """The whole body; None of a visitor who went away.

        Raises:
            RefusedError: If the request is none of the page's, too large or too slow.
        """
        path: str = scope["path"]
        is_upload = path.endswith(_UPLOAD)
        if scope["method"] != "POST" or not (is_upload or path.endswith(_CALLS)):
            raise RefusedError(404, "the page sends no such request")
        limit = self._limits.max_bytes + _FORM_BYTES if is_upload else _CALL_BYTES
        what = f"larger than {self._limits.max_bytes / 1e6:g} MB" if is_upload else "too large"
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > limit:
            raise RefusedError(413, f"the request is {what}")
        collected = bytearray()
        try:
            is_complete = await asyncio.wait_for(
                self._collect(receive, collected, limit, what), self._limits.upload_seconds
            )
        except asyncio.TimeoutError:
            raise RefusedError(408, f"the request took longer than {self._limits.upload_seconds:g} s") from None
        finally:
            self._waiting_bytes -= len(collected)
        if not is_complete:
            return None
        body = bytes(collected)
        if is_upload:
            return _rename(body)
        self._check_call(body)
        return body

    async def _collect(self, receive: Receive, collected: bytearray, limit: int, what: str) -> bool:
        """Append the body as it arrives; False if the visitor goes away before its end.

        Raises:
            RefusedError: If it is too large, alone or with all others.
        """
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return False
            part = message.get("body", b"")
            collected += part
            self._waiting_bytes += len(part)
            if len(collected) > limit:
                raise RefusedError(413, f"the request is {what}")
            if self._waiting_bytes > self._limits.waiting_bytes:
                raise RefusedError(503, "too many uploads at once; try again in a minute")
            if not message.get("more_body", False):
                return True

    def _check_call(self, body: bytes) -> None:
        """Refuse a call that names files other than uploads, or addresses that gradio would fetch.

        Raises:
            RefusedError: With the reason.
        """
        try:
            content = json.loads(body or b"{}")
        except (ValueError, RecursionError):
            raise RefusedError(400, "the request is no JSON") from None
        pending = [content]
        while pending:
            value = pending.pop()
            if isinstance(value, dict):
                for key in ("path", "url"):
                    self._check_name(key, value.get(key))
                pending += value.values()
            elif isinstance(value, list):
                pending += value

    def _check_name(self, key: str, name: object) -> None:
        if name is None or (key == "url" and isinstance(name, str) and "/gradio_api/file=" in name):
            return  # gradio's page repeats the address of an upload beside its path, which is what counts
        try:
            is_upload = key == "path" and isinstance(name, str) and self._is_upload(name)
        except (OSError, ValueError):
            is_upload = False
        if not is_upload:
            raise RefusedError(400, "the recording is not here any more; record or upload it again")

    def _is_upload(self, name: str) -> bool:
        path = Path(name)
        return path.is_absolute() and path.resolve().is_relative_to(self._folder) and path.is_file()


def _rename(form: bytes) -> bytes:
    """A form whose file has a name of its own: gradio gives equal files of two visitors the same place."""

    def name(found: re.Match[bytes]) -> bytes:
        return b'filename="' + uuid.uuid4().hex.encode() + (found[1] or b"") + b'"'

    head, rest = form[:_HEAD_BYTES], form[_HEAD_BYTES:]
    return re.sub(rb'filename="[^"]*?(\.\w{1,5})?"', name, head, count=1) + rest


def _with_policy(send: Send) -> Send:
    """Tell the browser that the page needs no other machine, and that nothing of it is kept."""

    async def send_with_policy(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [
                *message.get("headers", ()),
                (b"content-security-policy", _POLICY.encode()),
                (b"referrer-policy", b"no-referrer"),
                (b"x-content-type-options", b"nosniff"),
            ]
            message = {**message, "headers": headers}
        await send(message)

    return send_with_policy


async def _answer(send: Send, refusal: RefusedError) -> None:
    line = f"{refusal}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(line)).encode())]
    if refusal.status == 408:
        headers.append((b"connection", b"close"))  # of a visitor who hangs
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": line})
