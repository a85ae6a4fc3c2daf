"""The page with a microphone: visitors, hostile ones too, over HTTP and in a headless Chromium."""

from __future__ import annotations

import base64
import http.client
import io
import json
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from data.faces.shipped import shipped_weights
from data.media.waveform import SAMPLE_RATE
from eval.app.drawing import load_artist
from eval.app.limits import Limits
from eval.app.personas import PersonaVoice, make_voices
from eval.app.server import Running, run_page
from gan.voice2face import SYNTHETIC_NOTICE
from tests.app_visitor import Visitor, files_in, form, recording
from tests.browser import CHROMIUM, Page, open_page
from tests.commands import assert_one_line, call_script, start_script

pytest.importorskip("gradio", reason="gradio is not here (extra demo)")
pytest.importorskip("espeakng_loader")

LIMITS = Limits(
    max_bytes=600_000, max_seconds=10, upload_seconds=5, waiting_bytes=3_000_000, queue_size=4, keep_seconds=600
)
NUM_DRAWN = "document.querySelectorAll('#drawings img').length"
HEARD = "document.querySelector('#heard').innerText"


@pytest.fixture(scope="module")
def voices() -> list[PersonaVoice]:
    return make_voices(2)


@pytest.fixture(scope="module")
def running(voices: list[PersonaVoice]) -> Iterator[Running]:
    with run_page(load_artist(shipped_weights("model")), LIMITS, voices, is_shipped=True) as running:
        yield running
    assert not running.folder.exists()


@pytest.fixture
def visitor(running: Running) -> Visitor:
    return Visitor(running.url)


@pytest.fixture(scope="module")
def voice(voices: list[PersonaVoice]) -> bytes:
    """A WAV file of speech between pauses."""
    pause = np.zeros(SAMPLE_RATE // 2, np.float32)
    file = io.BytesIO()
    soundfile.write(file, 0.4 * np.concatenate([pause, voices[0].speech, pause]), SAMPLE_RATE, format="WAV")
    return file.getvalue()


def test_an_upload_is_drawn_and_deleted(running: Running, visitor: Visitor, voice: bytes) -> None:
    heard, drawings = visitor.draw("me.wav", voice, variety=1.0, number=3)
    assert re.fullmatch(r"4\.\d s of speech in 5\.\d s, level -\d\d dBFS \(good\)", heard)
    assert drawings.count("<img") == 3
    assert files_in(running.folder) == []


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("me.wav", b"PK\x03\x04" + bytes(1000), "**error:** no audio or video that FFmpeg can read"),
        ("me.wav", b"", "**error:** is empty"),
        ("../../../../tmp/me.wav", b"RIFF", "**error:** no audio or video that FFmpeg can read"),
        ("..", b"RIFF", "**error:** no audio or video that FFmpeg can read"),
        ("list.wav", b"#EXTM3U\nhttp://127.0.0.1/a.wav\n", "**error:** "),
    ],
)
def test_rubbish_is_one_line_and_leaves_nothing(
    running: Running, visitor: Visitor, voice: bytes, name: str, content: bytes, line: str
) -> None:
    heard, drawings = visitor.draw(name, content)
    assert heard.startswith(line) and "\n" not in heard and str(running.folder) not in heard
    assert drawings == ""
    assert files_in(running.folder) == []
    assert visitor.draw("me.wav", voice)[1].count("<img") == 1


@pytest.mark.parametrize("body", [form("me.wav", b"RIFF")[0][:-20], b"--cut\r\n\r\n", b""])
def test_a_form_that_holds_no_file_leaves_nothing(running: Running, visitor: Visitor, body: bytes) -> None:
    status, text = visitor.request("POST", "/gradio_api/upload", body, {"Content-Type": form("", b"")[1]})
    assert (status, text) == (200, "[]") or (status == 400 and "\n" not in text)
    assert files_in(running.folder) == []


def test_a_long_recording_is_one_line(running: Running, visitor: Visitor) -> None:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(11 * SAMPLE_RATE), SAMPLE_RATE, format="FLAC")
    assert visitor.draw("long.flac", file.getvalue())[0] == "**error:** 0.2 minutes, at most 10 s are allowed"
    assert files_in(running.folder) == []


def test_a_large_upload_is_refused_before_it_reaches_the_disk(running: Running, visitor: Visitor) -> None:
    line = "the request is larger than 0.6 MB\n"
    assert visitor.upload("large.wav", bytes(700_000)) == (413, line)
    connection = http.client.HTTPConnection(visitor.address.hostname or "", visitor.address.port, timeout=60)
    head, kind = form("large.wav", b"")
    connection.putrequest("POST", "/gradio_api/upload")
    connection.putheader("Content-Type", kind)
    connection.putheader("Content-Length", str(2_000_000_000))
    connection.endheaders()
    connection.send(head)
    answer = connection.getresponse()  # before the rest is sent
    assert (answer.status, answer.read().decode()) == (413, line)
    connection.close()
    assert files_in(running.folder) == []


def test_no_file_but_an_upload_can_be_named(running: Running, visitor: Visitor) -> None:
    (Path(running.folder).parent / "outside.wav").write_bytes(b"")
    for name in ("/etc/passwd", f"{running.folder}/../outside.wav", "http://example.org/voice.wav", "../setup.cfg"):
        status, line = visitor.join("hear_file", recording(name), 0.0, 1, 0, False)
        assert (status, line) == (400, "the recording is not here any more; record or upload it again\n")
    for name in ("/etc/passwd", "../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd", str(Path("setup.cfg").resolve())):
        status, text = visitor.request("GET", f"/gradio_api/file={name}")
        assert status in (403, 404) and "root:" not in text and "[metadata]" not in text
    assert files_in(running.folder) == []


def test_numbers_that_no_slider_gives_are_one_line(running: Running, visitor: Visitor, voice: bytes) -> None:
    place = json.loads(visitor.upload("me.wav", voice)[1])[0]
    assert visitor.join("hear_file", recording(place), 0.0, 99, 0, False)[0] == 200
    _, events = visitor.request("GET", f"/gradio_api/queue/data?session_hash={visitor.session}")
    assert '"process_completed"' in events and "Traceback" not in events
    assert visitor.draw("me.wav", voice)[1].count("<img") == 1


def test_visitors_who_hang_hold_nobody_up(running: Running, visitor: Visitor, voice: bytes) -> None:
    address = (visitor.address.hostname, visitor.address.port)
    before = set(files_in(running.folder))  # uploads of other tests that nobody drew
    hanging = [socket.create_connection(address, timeout=60) for _ in range(60)]
    try:
        body, kind = form("me.wav", voice)
        head = f"POST /gradio_api/upload HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        for number, connection in enumerate(hanging):
            if number % 3 == 0:  # a part of an upload
                connection.sendall(f"{head}\r\n".encode() + body[:10_000])
            elif number % 3 == 1:  # a part of a header
                connection.sendall(head.encode())
        begin = time.monotonic()
        assert visitor.draw("me.wav", voice)[1].count("<img") == 1
        assert time.monotonic() - begin < 60
        answer = hanging[0].makefile("rb").read().decode()
        assert answer.startswith("HTTP/1.1 408 ") and answer.endswith("the request took longer than 5 s\n")
    finally:
        for connection in hanging:
            connection.close()
    assert set(files_in(running.folder)) <= before


def test_a_full_queue_turns_visitors_away_in_one_line(running: Running, voice: bytes) -> None:
    waiting = [Visitor(running.url) for _ in range(12)]
    places = [json.loads(visitor.upload("me.wav", voice)[1])[0] for visitor in waiting]
    answers = [
        visitor.join("hear_file", recording(place), 0.0, 1, 0, False)
        for visitor, place in zip(waiting, places, strict=True)
    ]
    refused = [text for status, text in answers if status != 200]
    assert refused and all("queue is full" in text.lower() and "\n" not in text for text in refused)
    for visitor, (status, _) in zip(waiting, answers, strict=True):
        if status == 200:
            assert visitor.wait()[3].count("<img") == 1
    assert Visitor(running.url).draw("me.wav", voice)[1].count("<img") == 1


@pytest.fixture(scope="module")
def page(running: Running, voice: bytes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not here (Debian: apt-get install chromium)")
    microphone = tmp_path_factory.mktemp("microphone") / "me.wav"
    microphone.write_bytes(voice)
    with open_page(microphone) as page:
        page.open(running.url)
        page.wait_for("!!document.querySelector('#voice .record-button')")
        yield page


def test_speech_into_the_microphone_is_drawn(running: Running, page: Page) -> None:
    before = set(files_in(running.folder))  # uploads of other tests that nobody drew
    page.evaluate("document.querySelector('#voice .record-button').click()")
    page.wait_for("document.querySelector('#voice .stop-button').style.display === 'flex'")
    time.sleep(5)
    page.evaluate("document.querySelector('#voice .stop-button').click()")
    page.wait_for(f"{NUM_DRAWN} === 8")
    assert re.search(r"[2-5]\.\d s of speech in \d\.\d s, level -\d\d dBFS \(good\)", page.evaluate(HEARD))
    assert page.evaluate("document.querySelector('#spectrogram img').naturalHeight") > 100
    assert page.evaluate("document.body.innerText").count("not portraits of the speaker") == 1
    assert set(files_in(running.folder)) <= before


def test_a_slider_draws_the_same_voice_anew(page: Page) -> None:
    before = page.evaluate("document.querySelector('#drawings img').src")
    page.evaluate(
        "(() => { const slider = document.querySelector('#number input[type=range]');"
        " slider.value = 3; slider.dispatchEvent(new Event('input', { bubbles: true }));"
        " slider.dispatchEvent(new Event('pointerup', { bubbles: true })); })()"
    )
    page.wait_for(f"{NUM_DRAWN} === 3")
    page.evaluate(
        "(() => { const slider = document.querySelector('#variety input[type=range]');"
        " slider.value = 0; slider.dispatchEvent(new Event('input', { bubbles: true }));"
        " slider.dispatchEvent(new Event('pointerup', { bubbles: true })); })()"
    )
    page.wait_for(f"document.querySelector('#drawings img').src !== {json.dumps(before)} && {NUM_DRAWN} === 3")


def test_a_drawing_is_saved_with_the_synthetic_mark(page: Page) -> None:
    link = page.evaluate("document.querySelector('#drawings a[download]').href")
    with Image.open(io.BytesIO(base64.b64decode(link.partition("base64,")[2]))) as picture:
        assert picture.size == (64, 64)
        assert picture.text["Description"] == SYNTHETIC_NOTICE  # type: ignore[attr-defined]


def test_the_persona_of_a_button_is_drawn(page: Page) -> None:
    before = page.evaluate("document.querySelector('#drawings img').src")
    page.evaluate("document.querySelector('#persona-1').click()")
    page.wait_for(f"document.querySelector('#drawings img').src !== {json.dumps(before)}")
    assert "(good)" in page.evaluate(HEARD)


def test_rubbish_is_one_line_on_the_page(page: Page, tmp_path: Path) -> None:
    # Clicked until it counts: on a busy machine a click may meet the player that the persona's voice is replacing.
    page.wait_for(f"(document.querySelector('#voice [aria-label=Clear]')?.click(), {NUM_DRAWN} === 0)")
    page.evaluate("document.querySelector('#voice [aria-label=\"Upload file\"]').click()")
    page.wait_for("!!document.querySelector('#voice input[type=file]')")
    (tmp_path / "rubbish.wav").write_bytes(b"PK\x03\x04" + bytes(1000))
    page.choose_file("#voice input[type=file]", tmp_path / "rubbish.wav")
    page.wait_for(f"{HEARD}.startsWith('error: no audio or video that FFmpeg can read')")
    assert page.evaluate(NUM_DRAWN) == 0


def test_the_page_asks_no_other_machine(page: Page, running: Running) -> None:
    addresses = page.evaluate("performance.getEntriesByType('resource').map(entry => entry.name)")
    assert addresses and all(re.match(rf"{running.url}|data:|blob:", address) for address in addresses)


def test_the_command_prints_its_address_and_leaves_nothing_behind(voice: bytes) -> None:
    process = start_script("app", "--max-seconds", 20)
    assert process.stdout and process.stderr
    try:
        line = process.stdout.readline()
        found = re.fullmatch(r"speak, and see: (http://127\.0\.0\.1:\d+/) \(Ctrl-C ends it\)\n", line)
        assert found, line
        url = found[1]
        visitor = Visitor(url)
        place = Path(json.loads(visitor.upload("me.wav", voice)[1])[0])
        assert place.is_file()
        assert visitor.draw("me.wav", voice)[1].count("<img") == 1
    finally:
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and errors == "", errors
    assert output == ""
    assert not place.exists() and not place.parent.parent.exists()


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    assert_one_line(call_script("app", "--model", tmp_path / "none"), "no model folder")
    assert_one_line(call_script("app", "--max-seconds", 0), "--max-seconds is 1 to 3600")
    assert_one_line(call_script("app", "--share", "perhaps"), "--share", "no", "yes")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert_one_line(call_script("app", "--port", port), f"can't listen on 127.0.0.1, port {port}")


def test_what_is_left_of_a_visit_is_deleted(voices: list[PersonaVoice], voice: bytes) -> None:
    with run_page(load_artist(shipped_weights("model")), Limits(keep_seconds=1.0), voices) as running:
        visitor = Visitor(running.url)
        assert visitor.upload("me.wav", voice)[0] == 200
        assert len(files_in(running.folder)) == 1
        deadline = time.monotonic() + 30
        while list(running.folder.iterdir()):
            assert time.monotonic() < deadline, files_in(running.folder)
            time.sleep(0.2)
