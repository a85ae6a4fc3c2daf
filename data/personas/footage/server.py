"""HTTP server on loopback that serves videos by id, with byte ranges, and simulates faults."""

from __future__ import annotations

import os
import re
import select
import socket
import struct
import threading
import urllib.parse
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Literal

CONTENT_TYPES = {
    ".mp4": "video/mp4",
    ".m4a": "audio/mp4",
    ".webm": "video/webm",
    ".mkv": "video/x-matroska",
    ".avi": "video/x-msvideo",
    ".ts": "video/mp2t",
    ".mpd": "application/dash+xml",
    ".m3u8": "application/vnd.apple.mpegurl",
    ".html": "text/html; charset=utf-8",
}
PAGE = b"<!DOCTYPE html><html><head><title>Welcome</title></head><body><p>No video here.</p></body></html>"

FaultKind = Literal[
    "status",  # answers with `status`
    "reset",  # a reset by peer in the middle of the body
    "stall",  # sends part of the body, then nothing
    "silence",  # reads the request and never answers
    "trickle",  # sends the body a few bytes a second
    "half",  # closes the connection in the middle of the body that Content-Length promised whole
    "cut",  # a file that ends in the middle, with a Content-Length that agrees
    "html",  # a page instead of a video
    "wrong-type",  # the right bytes called text/plain
    "rubbish",  # random bytes called video/mp4
    "no-ranges",  # ignores Range
    "no-length",  # chunked, without Content-Length
]


@dataclass(frozen=True)
class Fault:
    """A fault that the server simulates for one id.

    Attributes:
        kind: Type of fault.
        status: HTTP status for the kind `status`.
        reason: Reason phrase of the status; None for the usual one.
        retry_after: Header Retry-After for the kind `status`; None for no header.
        times: Number of requests with the fault; None for all.
        share: Share of the file that is sent before the fault.
    """

    kind: FaultKind
    status: int = 500
    reason: str | None = None
    retry_after: str | None = None
    times: int | None = None
    share: float = 0.5


@dataclass(frozen=True)
class Request:
    """One request that the server received."""

    method: str
    video_id: str
    byte_range: str | None
    cookie: str | None


class VideoServer:
    """Server that runs until the end of its `with` block; `files` and `faults` may be changed meanwhile.

    Attributes:
        files: Path by id; the answer for other ids is 404.
        faults: Fault by id.
        requests: All requests in order.
    """

    def __init__(self, files: Mapping[str, Path], faults: Mapping[str, Fault] | None = None) -> None:
        self.files = dict(files)
        self.faults = dict(faults or {})
        self.requests: list[Request] = []
        self._num_faults: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._server = _Server(("127.0.0.1", 0), self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url_template(self) -> str:
        """Address of a video, with {id}."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/watch?v={{id}}"

    def url(self, video_id: str) -> str:
        """Address of one video."""
        return self.url_template.replace("{id}", urllib.parse.quote(video_id, safe=""))

    def num_requests(self, video_id: str) -> int:
        """Requests for a video so far."""
        with self._lock:
            return sum(request.video_id == video_id for request in self.requests)

    def __enter__(self) -> VideoServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def record(self, request: Request) -> Fault | None:
        """Store a request; returns the fault to simulate, if there is one."""
        with self._lock:
            self.requests.append(request)
            fault = self.faults.get(request.video_id)
            if fault is None or (fault.times is not None and self._num_faults[request.video_id] >= fault.times):
                return None
            self._num_faults[request.video_id] += 1
            return fault

    def wait_for_hang_up(self, connection: socket.socket, seconds: float = 60) -> bool:
        """Wait until the client hangs up or the server stops; False if that takes longer than `seconds`."""
        for _ in range(int(seconds / 0.05) + 1):
            if self._stopping.is_set():
                return True
            readable, _, _ = select.select([connection], [], [], min(0.05, seconds))
            if readable:
                try:
                    return not connection.recv(1, socket.MSG_PEEK)
                except OSError:
                    return True
        return False


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], owner: VideoServer) -> None:
        self.owner = owner
        super().__init__(address, _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that close the connection: faults make them do so."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = 60
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        video_id = query.get("v", [""])[0]
        fault = self.server.owner.record(
            Request(self.command, video_id, self.headers.get("Range"), self.headers.get("Cookie"))
        )
        path = self.server.owner.files.get(video_id)
        kind = fault.kind if fault else None
        if kind == "silence":
            self.server.owner.wait_for_hang_up(self.connection)
            self.close_connection = True
        elif fault and kind == "status":
            self._send_status(fault)
        elif kind == "html":
            self._send_whole(PAGE, "text/html; charset=utf-8")
        elif kind == "rubbish":
            self._send_whole(bytes(range(1, 256)) * 40, "video/mp4")
        elif path is None or not path.is_file():
            self._send_status(Fault("status", 404))
        else:
            self._send_file(path, fault)

    def _send_status(self, fault: Fault) -> None:
        body = f"{fault.status}\n".encode()
        self.send_response(fault.status, fault.reason)
        if fault.retry_after is not None:
            self.send_header("Retry-After", fault.retry_after)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _send_whole(self, body: bytes, content_type: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _send_file(self, path: Path, fault: Fault | None) -> None:
        kind = fault.kind if fault else None
        share = fault.share if fault else 1.0
        data = path.read_bytes()
        if kind == "cut":
            data = data[: int(share * len(data))]
        start, stop, status = 0, len(data), 200
        if kind not in ("no-ranges", "no-length") and (wanted := self.headers.get("Range")):
            span = _parse_range(wanted, len(data))
            if span is None:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(data)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            start, stop = span
            status = 206
        self.send_response(status)
        content_type = CONTENT_TYPES.get(path.suffix, "application/octet-stream")
        self.send_header("Content-Type", "text/plain" if kind == "wrong-type" else content_type)
        if kind == "no-length":
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(stop - start))
        if kind not in ("no-ranges", "no-length"):
            self.send_header("Accept-Ranges", "bytes")
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(data)}")
        self.end_headers()
        if self.command == "HEAD":
            return
        body = data[start:stop]
        # The fault is at the same byte of the file, however often a client asks for the rest.
        sound = body[: max(0, int(share * len(data)) - start)]
        if kind == "no-length":
            self.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        elif kind == "reset":
            self.wfile.write(sound)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())  # at once, so that the client sees a reset and no orderly end
            self.close_connection = True
        elif kind == "stall":
            self.wfile.write(sound)
            self.server.owner.wait_for_hang_up(self.connection)
            self.close_connection = True
        elif kind == "half":
            self.wfile.write(sound)
            self.close_connection = True
        elif kind == "trickle":
            self._trickle(body)
        else:
            self.wfile.write(body)

    def _trickle(self, body: bytes) -> None:
        for position in range(0, len(body), 16):
            self.wfile.write(body[position : position + 16])
            if self.server.owner.wait_for_hang_up(self.connection, 0.1):
                break
        self.close_connection = True


def _parse_range(text: str, size: int) -> tuple[int, int] | None:
    """Start and stop of a byte range; the whole file for a malformed header, None for a range beyond the end."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", text)
    if not match or not any(match.groups()):
        return 0, size
    first, last = match.groups()
    if not first:
        return (max(0, size - int(last)), size) if int(last) else None
    if int(first) >= size:
        return None
    return int(first), min(size, int(last) + 1) if last else size
