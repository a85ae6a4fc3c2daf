"""The static page in a headless Chromium: it draws what torch draws, and sends nothing."""

from __future__ import annotations

import base64
import functools
import io
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray
from PIL import Image

from data.faces.shipped import shipped_weights
from data.media.audio import prepare_speech
from data.personas.population import draw_population
from data.personas.voices import VoiceSynthesizer
from gan.export.browser import ONNXRUNTIME_WEB
from gan.voice2face import SYNTHETIC_NOTICE, Voice2Face
from tests.browser import CHROMIUM, Page, open_page
from tests.commands import assert_one_line, call_script, run_script

STATUS = "document.querySelector('#status').textContent"
NUM_DRAWN = "document.querySelectorAll('#drawings img').length"
# A typed array as text: the protocol takes seconds for arrays of numbers.
TO_TEXT = (
    "const text = (values) => { const bytes = new Uint8Array(values.slice().buffer); let all = '';"
    " for (let i = 0; i < bytes.length; i += 8192) all += String.fromCharCode(...bytes.subarray(i, i + 8192));"
    " return btoa(all); };"
)


class Server(ThreadingHTTPServer):
    """A file server that remembers what was asked of it."""

    def __init__(self, folder: Path) -> None:
        self.requests: list[str] = []
        requests = self.requests

        class Handler(SimpleHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                requests.append(f"{self.command} {self.path}")

        super().__init__(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
        self.url = f"http://127.0.0.1:{self.server_port}/"
        threading.Thread(target=self.serve_forever, daemon=True).start()


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("npm") is None:
        pytest.skip("npm is not here, which fetches onnxruntime-web")
    folder = tmp_path_factory.mktemp("npm")
    command = ["npm", "pack", f"onnxruntime-web@{ONNXRUNTIME_WEB}", "--pack-destination", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=folder, check=False)
    if done.returncode:
        pytest.skip(f"npm can't fetch onnxruntime-web: {done.stderr.splitlines()[-1:]}")
    return next(folder.glob("*.tgz"))


@pytest.fixture(scope="module")
def server(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("page") / "export"
    done = call_script("export", "--out", folder)
    assert done.returncode == 0, done.stderr
    done = run_script("build_browser_page", "--export", folder, "--onnxruntime-web", package)
    assert done.returncode == 0, done.stderr
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert f"index.html: {size / 1e6:.1f} MB with everything" in done.stdout
    server = Server(folder)
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Speech between silences, which have to be cut."""
    with VoiceSynthesizer() as synthesizer:
        population = draw_population(2, seed=3)
        spoken = [synthesizer.speak(population, persona=1, clip=clip) for clip in (0, 1)]
    pause = np.zeros(16_000, np.float32)
    path = tmp_path_factory.mktemp("voice") / "me.wav"
    soundfile.write(path, 0.3 * np.concatenate([pause, spoken[0], pause, pause, spoken[1], pause]), 16_000)
    return path


@pytest.fixture(scope="module")
def page(server: Server, recording: Path) -> Iterator[Page]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not here (Debian: apt-get install chromium)")
    with open_page(microphone=recording) as page:
        page.open(server.url)
        page.wait_for(f"document.querySelector('#status') && {STATUS} === 'Ready.'")
        yield page


def wav(waveform: NDArray[np.float64]) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform, 16_000, format="WAV")
    return buffer.getvalue()


def floats(text: str) -> NDArray[np.float32]:
    return np.frombuffer(base64.b64decode(text), np.float32)


def test_a_chosen_recording_is_drawn_and_the_sliders_draw_anew(page: Page, recording: Path) -> None:
    page.choose_file("#file", recording)
    page.wait_for(f"{STATUS}.startsWith('8 drawings of')")
    assert page.evaluate(NUM_DRAWN) == 8
    page.evaluate("(() => { const n = document.querySelector('#number'); n.value = 3; n.oninput(); })()")
    page.wait_for(f"{STATUS}.startsWith('3 drawings of')")
    assert page.evaluate(NUM_DRAWN) == 3
    assert page.evaluate("document.querySelector('output[for=number]').textContent") == "3"


def test_speech_and_drawings_are_those_of_torch(page: Page, recording: Path) -> None:
    waveform, _ = soundfile.read(recording, dtype="float32")
    sent = base64.b64encode(waveform.tobytes()).decode()
    found = page.evaluate(
        f"(async () => {{ {TO_TEXT}"
        " const model = await (await import('./page.js')).loading;"
        " const { normalNumbers } = await import('./model.js');"
        f" const bytes = Uint8Array.from(atob('{sent}'), (letter) => letter.charCodeAt(0));"
        " const speech = await model.prepare(new Float32Array(bytes.buffer));"
        " const normal = normalNumbers(5);"
        " return [speech, normal(3 * 128), normal(3 * 64), await model.draw(speech, 3, 0.6, 5)].map(text); })()"
    )
    speech, sample_noise, noise, images = (floats(text) for text in found)
    expected = prepare_speech(waveform)
    assert len(speech) == len(expected) < len(waveform) - 48_000
    # The graph levels the loudness after the silence is cut, so that the page's speech differs by a factor.
    assert np.abs(speech / np.abs(speech).max() - expected / np.abs(expected).max()).max() < 1e-4
    model = Voice2Face.from_pretrained(shipped_weights("model"))
    feature = model.encoder.encode([expected]).feature.expand(3, -1)
    samples = model.encoder.require_sampler()(feature, torch.tensor(sample_noise).view(3, -1), 0.6)
    truth = model.draw(samples, torch.tensor(noise).view(3, -1)).numpy()
    assert np.abs(images.reshape(truth.shape) - truth).max() < 1e-4
    numbers = np.concatenate([sample_noise, noise])
    assert abs(numbers.mean()) < 0.15 and abs(numbers.std() - 1) < 0.1


def test_the_microphone_is_heard(page: Page) -> None:
    page.evaluate("document.querySelector('#record').click()")
    page.wait_for("document.querySelector('#record').textContent === 'Stop'")
    time.sleep(4)
    page.evaluate("document.querySelector('#record').click()")
    page.wait_for(f"{STATUS}.includes('drawings of')")
    assert page.evaluate("document.querySelector('#record').textContent") == "Record"
    assert page.evaluate(NUM_DRAWN) > 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04 not a recording", "This browser can't read the sound of that file."),
        (b"", "This browser can't read the sound of that file."),
        (bytes(50_000_001), "The file is too large: at most 50 MB are read."),
        (wav(np.zeros(32_000)), "The recording is silent."),
        (wav(0.1 * np.random.default_rng(0).standard_normal(32_000)), "No speech was found in the recording."),
    ],
    ids=["zip", "empty", "large", "silent", "noise"],
)
def test_what_can_not_be_heard_is_one_line(page: Page, tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "rubbish.wav"
    path.write_bytes(content)
    page.choose_file("#file", path)
    # Another file's error may still be there, so that the words are waited for.
    page.wait_for(f"document.querySelector('#status').className === 'error' && {STATUS} === {json.dumps(message)}")
    assert page.evaluate(NUM_DRAWN) == 0


def test_drawings_say_that_they_are_synthetic(page: Page) -> None:
    text = page.evaluate(
        f"(async () => {{ {TO_TEXT}"
        " const { toMarkedPng } = await import('./png.js');"
        " const model = await (await import('./page.js')).loading;"
        " const values = new Float32Array(3 * 64 * 64).fill(-1); values[0] = 1; values[64 * 64 + 1] = 0;"
        " const png = await toMarkedPng(values, 64, model.about.notice);"
        " return text(new Uint8Array(await png.arrayBuffer())); })()"
    )
    with Image.open(io.BytesIO(base64.b64decode(text))) as picture:
        picture.verify()  # every chunk's checksum
    with Image.open(io.BytesIO(base64.b64decode(text))) as picture:
        assert picture.text["Description"] == SYNTHETIC_NOTICE
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels[0, 0].tolist() == [255, 0, 0] and pixels[0, 1].tolist() == [0, 128, 0]


def test_nothing_leaves_the_machine(page: Page, server: Server, tmp_path: Path) -> None:
    elsewhere = Server(tmp_path)
    try:
        refused = page.evaluate(f"fetch('{elsewhere.url}', {{method: 'POST', body: 'voice'}}).catch(() => 'refused')")
        assert refused == "refused" and elsewhere.requests == []
    finally:
        elsewhere.shutdown()
        elsewhere.server_close()
    assert server.requests and all(request.startswith("GET ") for request in server.requests)
    assert page.evaluate("localStorage.length + sessionStorage.length + document.cookie.length") == 0


def test_mistakes_are_one_line(server: Server, package: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.tgz"
    other.write_bytes(package.read_bytes()[:-1])
    nowhere, get = tmp_path / "nowhere", f"npm pack onnxruntime-web@{ONNXRUNTIME_WEB}"
    done = call_script("build_browser_page", "--export", nowhere, "--onnxruntime-web", package)
    assert_one_line(done, "holds no export", "scripts/export.py")
    (tmp_path / "export.json").write_text("{}")
    done = call_script("build_browser_page", "--export", tmp_path, "--onnxruntime-web", other)
    assert_one_line(done, "other.tgz", "damaged", get)
    done = call_script("build_browser_page", "--export", tmp_path, "--onnxruntime-web", nowhere)
    assert_one_line(done, "nowhere", get)
    assert not (tmp_path / "index.html").exists()
