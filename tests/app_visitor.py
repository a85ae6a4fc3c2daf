"""A visitor of the app without a browser: what gradio's page sends, over plain sockets."""

from __future__ import annotations

import http.client
import json
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

TIMEOUT = 120


class Visitor:
    """One visit to a running page."""

    def __init__(self, url: str) -> None:
        self.address = urlsplit(url)
        self.session = uuid.uuid4().hex

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, str]:
        """Status and text of an answer."""
        connection = http.client.HTTPConnection(self.address.hostname or "", self.address.port, timeout=TIMEOUT)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def upload(self, name: str, content: bytes) -> tuple[int, str]:
        """Upload a file as the page does; the answer holds its place on the server."""
        body, kind = form(name, content)
        return self.request("POST", "/gradio_api/upload", body, {"Content-Type": kind})

    def join(self, call: str, *data: Any) -> tuple[int, str]:
        """Stand in the queue with a call of one of the page's functions."""
        _, config = self.request("GET", "/config")
        number = next(d["id"] for d in json.loads(config)["dependencies"] if d["api_name"].startswith(call))
        call_body = {"data": data, "fn_index": number, "session_hash": self.session, "event_data": None}
        return self.request(
            "POST", "/gradio_api/queue/join", json.dumps(call_body).encode(), {"Content-Type": "application/json"}
        )

    def wait(self) -> list[Any]:
        """What the call that was joined gives: contents of the page's elements."""
        connection = http.client.HTTPConnection(self.address.hostname or "", self.address.port, timeout=TIMEOUT)
        connection.request("GET", f"/gradio_api/queue/data?session_hash={self.session}")
        answer = connection.getresponse()
        try:
            while line := answer.readline():
                if line.startswith(b"data: "):
                    message = json.loads(line[6:])
                    if message["msg"] == "process_completed":
                        assert message["success"], message
                        return list(message["output"]["data"])
        finally:
            connection.close()
        raise AssertionError("the queue closed without a result")

    def draw(self, name: str, content: bytes, variety: float = 0.0, number: int = 1) -> tuple[str, str]:
        """Upload and draw: what the page says that it heard, and the HTML of the drawings."""
        status, text = self.upload(name, content)
        assert status == 200, text
        status, text = self.join("hear_file", recording(json.loads(text)[0]), variety, number, 0, False)
        assert status == 200, text
        _, heard, _, drawings = self.wait()
        return heard, drawings


def recording(place: str) -> dict[str, Any]:
    """What the page sends for an upload."""
    return {"path": place, "meta": {"_type": "gradio.FileData"}}


def form(name: str, content: bytes) -> tuple[bytes, str]:
    """Body and content type of an upload."""
    head = f'--cut\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
    return head + content + b"\r\n--cut--\r\n", "multipart/form-data; boundary=cut"


def files_in(folder: Path) -> list[str]:
    """Names of all files below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
