"""A headless Chromium for tests, driven through a pipe by the DevTools protocol; nothing else is needed."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Page:
    """One tab, in which a test evaluates JavaScript."""

    def __init__(self, requests: int, answers: int) -> None:
        self._requests, self._answers, self._rest = requests, answers, b""
        self._numbers = itertools.count(1)
        self._session = ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def call(self, method: str, timeout: float = 120, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and wait for its result."""
        number = next(self._numbers)
        session = {"sessionId": self._session} if self._session else {}
        message = json.dumps({"id": number, "method": method, "params": parameters, **session})
        os.write(self._requests, message.encode() + b"\0")
        end = time.monotonic() + timeout
        while True:
            answer = self._read(end, method)
            if answer.get("id") == number:
                assert "error" not in answer, answer["error"]
                result: dict[str, Any] = answer["result"]
                return result

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, awaited if it is a promise."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def open(self, url: str) -> None:
        """Go to an address; the page may still be loading."""
        self.call("Page.navigate", url=url)

    def wait_for(self, expression: str, timeout: float = 120) -> Any:
        """The first value of a JavaScript expression that counts as true."""
        end = time.monotonic() + timeout
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < end, f"still false: {expression}"
            time.sleep(0.1)
        return value

    def choose_file(self, selector: str, path: Path) -> None:
        """Choose a file in an input of the page."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", files=[str(path)], nodeId=node)

    def _read(self, end: float, method: str) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._answers], [], [], max(0, end - time.monotonic()))
            assert ready, f"Chromium does not answer {method}"
            block = os.read(self._answers, 1 << 20)
            assert block, f"Chromium ended during {method}"
            self._rest += block
        message, self._rest = self._rest.split(b"\0", 1)
        return json.loads(message)


@contextlib.contextmanager
def open_page(microphone: Path | None = None) -> Iterator[Page]:
    """A tab of a new Chromium, which hears a WAV file, once, as its microphone."""
    assert CHROMIUM
    sound = f"--use-file-for-fake-audio-capture={microphone}%noloop" if microphone else "--mute-audio"
    in_read, in_write = os.pipe()
    out_read, out_write = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        # Chromium reads from descriptor 3 and writes to 4.
        shell = 'exec 3<&"$1" 4>&"$2"; shift 2; exec "$@"'
        command = [
            *("bash", "-c", shell, "chromium", str(in_read), str(out_write)),
            *(CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *("--remote-debugging-pipe", f"--user-data-dir={profile}", "--no-first-run", "--disable-extensions"),
            *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", sound),
        ]
        process = subprocess.Popen(
            command, pass_fds=(in_read, out_write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(in_read)
        os.close(out_write)
        try:
            yield Page(in_write, out_read)
        finally:
            os.close(in_write)  # Chromium ends when its pipe is closed
            os.close(out_read)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
