"""Measure the running app as docs/app.md tells it: python tests/measure_app.py."""

from __future__ import annotations

import http.client
import io
import json
import os
import socket
import statistics
import sys
import tempfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # as a program it sees its own folder alone

import numpy as np
import psutil
import soundfile

from data.media.waveform import SAMPLE_RATE
from eval.app.personas import make_voices
from tests.app_visitor import Visitor, files_in, form, recording
from tests.browser import CHROMIUM, open_page
from tests.commands import start_script

NUM_REQUESTS = 100
NUM_AT_ONCE = 20
NUM_HANGING = 200


def main() -> None:
    """Start the app with its own limits, measure, print a line a number."""
    voice = persona_wav()
    begin = time.monotonic()
    process = start_script("app")
    assert process.stdout
    try:
        url = process.stdout.readline().split()[3]
        server = psutil.Process(process.pid)
        print(f"start: {time.monotonic() - begin:.1f} s; load of the machine: {os.getloadavg()[0]:.1f}", flush=True)
        place = json.loads(Visitor(url).upload("me.wav", voice)[1])[0]
        folder = Path(place).parents[1]
        Path(place).unlink()
        measure_visits(url, server, voice)
        measure_hostile(url, server, voice, folder)
        measure_browser(url, voice)
        print(f"files left: {files_in(folder)}; memory at the end: {memory(server)}")
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=60)
    print(f"load of the machine: {os.getloadavg()[0]:.1f}")
    print(f"exit code {process.returncode}; what the app logged: {errors!r}")


def persona_wav() -> bytes:
    """Nine seconds: a persona's clip twice."""
    speech = make_voices(1)[0].speech
    file = io.BytesIO()
    soundfile.write(file, np.concatenate([speech, speech]), SAMPLE_RATE, format="WAV")
    return file.getvalue()


def memory(server: psutil.Process) -> str:
    """Resident memory."""
    return f"{server.memory_info().rss / 1e6:.0f} MB"


def timed_visit(url: str, voice: bytes) -> float:
    """Seconds from the upload of a recording to eight drawings."""
    begin = time.monotonic()
    _, drawings = Visitor(url).draw("me.wav", voice, variety=1.0, number=8)
    assert drawings.count("<img") == 8
    return time.monotonic() - begin


def measure_visits(url: str, server: psutil.Process, voice: bytes) -> None:
    """Time and memory of visitors one by one and at once."""
    timed_visit(url, voice)
    print(f"memory after the first request: {memory(server)}")
    seconds = [timed_visit(url, voice) for _ in range(NUM_REQUESTS)]
    print(f"upload to 8 drawings: median {statistics.median(seconds):.2f} s, slowest {max(seconds):.2f} s")
    print(f"memory after {NUM_REQUESTS} requests: {memory(server)}")
    with ThreadPoolExecutor(NUM_AT_ONCE) as pool:
        begin = time.monotonic()
        seconds = list(pool.map(lambda _: timed_visit(url, voice), range(NUM_AT_ONCE)))
        last = time.monotonic() - begin
    print(f"{NUM_AT_ONCE} at once: drawn after {min(seconds):.1f} to {last:.1f} s; memory {memory(server)}")


def measure_hostile(url: str, server: psutil.Process, voice: bytes, folder: Path) -> None:
    """What comes back, and what is left, of requests that mean harm."""

    def tell(what: str, answer: object) -> None:
        print(f"{what}: {answer!r}; files left: {len(files_in(folder))}; memory {memory(server)}")

    tell("2-GB upload that says so", send_large(url, with_length=True))
    tell("2-GB upload that does not", send_large(url, with_length=False))
    tell("3-hour file", Visitor(url).draw("long.flac", three_hours())[0])
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("me.wav", voice)
    tell("zip named .wav", Visitor(url).draw("me.wav", archive.getvalue())[0])
    tell("upload named ../../me.wav", Visitor(url).draw("../../me.wav", voice)[0])
    for name in ("../../../etc/passwd", f"{folder}/../../etc/passwd"):
        tell(f"recording {name}", Visitor(url).join("hear_file", recording(name), 0.0, 1, 0, False))
    visitor = Visitor(url)
    address = (visitor.address.hostname, visitor.address.port)
    body, kind = form("me.wav", voice)
    head = f"POST /gradio_api/upload HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    hanging = [socket.create_connection(address, timeout=120) for _ in range(NUM_HANGING)]
    for connection in hanging:
        connection.sendall(head.encode() + body[: len(body) // 2])
    tell(f"{NUM_HANGING} clients that hang, meanwhile a visitor waits", f"{timed_visit(url, voice):.1f} s")
    answers = {connection.makefile("rb").read().decode().splitlines()[-1] for connection in hanging}
    tell("what the clients that hang get", answers)


def send_large(url: str, *, with_length: bool) -> str:
    """Send zeros until the server answers or 2 GB are through."""
    address = Visitor(url).address
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=120)
    head, kind = form("large.wav", b"")
    connection.putrequest("POST", "/gradio_api/upload")
    connection.putheader("Content-Type", kind)
    if with_length:
        connection.putheader("Content-Length", str(2_000_000_000))
    else:
        connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    part = head + bytes(1_000_000)
    chunk = part if with_length else f"{len(part):x}\r\n".encode() + part + b"\r\n"
    sent = 0
    while sent < 2_000_000_000:
        connection.send(chunk)
        sent += len(part)
    if not with_length:
        connection.send(b"0\r\n\r\n")
    answer = connection.getresponse()
    text = f"{answer.status} {answer.read().decode()}"
    connection.close()
    return text


def three_hours() -> bytes:
    """Silence for three hours, which takes little room as FLAC."""
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", SAMPLE_RATE, 1, format="FLAC") as sound:
        for _ in range(3 * 60):
            sound.write(np.zeros(60 * SAMPLE_RATE, np.int16))
    return file.getvalue()


def measure_browser(url: str, voice: bytes) -> None:
    """Seconds from the end of speech to pictures on the page."""
    if CHROMIUM is None:
        print("Chromium is not here")
        return
    seconds = []
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "me.wav").write_bytes(voice)
        for _ in range(3):
            with open_page(Path(name) / "me.wav") as page:
                page.open(url)
                page.wait_for("!!document.querySelector('#voice .record-button')")
                page.evaluate("document.querySelector('#voice .record-button').click()")
                page.wait_for("document.querySelector('#voice .stop-button').style.display === 'flex'")
                time.sleep(8)
                page.evaluate("document.querySelector('#voice .stop-button').click()")
                begin = time.monotonic()
                page.wait_for("document.querySelectorAll('#drawings img').length === 8")
                seconds.append(time.monotonic() - begin)
    print(f"8 s of speech into the page, from Stop to 8 drawings: {', '.join(f'{s:.1f} s' for s in seconds)}")


if __name__ == "__main__":
    main()
