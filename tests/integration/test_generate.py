"""Drawing from a recording, as a user does it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from data.personas.footage.vowels import speak
from gan.voice2face import Voice2Face
from scripts import generate
from tests.commands import assert_one_line, call_script, run_script


@pytest.fixture(scope="module")
def model(tiny_model: Voice2Face, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tiny_model.save_pretrained(folder)
    return folder


@pytest.fixture
def voice(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "me.wav", speak(0, seconds=3), 16_000)
    return tmp_path / "me.wav"


def test_it_draws_a_row_of_faces_marked_as_synthetic_the_same_for_the_same_seed(
    model: Path, voice: Path, tmp_path: Path
) -> None:
    for name, run in (("one.png", run_script), ("two.png", call_script)):
        out = tmp_path / name
        result = run("generate", "--model", model, "--voice", voice, "--out", out, "--num-images", 3, "--seed", 5)
        assert result.returncode == 0, result.stderr
        assert "not the speaker" in result.stdout
    with Image.open(tmp_path / "one.png") as first, Image.open(tmp_path / "two.png") as second:
        assert first.size == (192, 64) and "Synthetic" in first.text["Description"]
        assert np.array_equal(first, second)


def test_a_terminal_that_is_ascii_shows_any_file_name(
    model: Path, voice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    out = tmp_path / "zoë.png"
    result = run_script("generate", "--model", model, "--voice", voice, "--out", out, "--num-images", 1)
    assert (result.returncode, result.stderr) == (0, "") and out.is_file()
    assert "zo\\xeb.png" in result.stdout and len(result.stdout.splitlines()) == 1


def test_its_result_is_json_or_nothing_if_asked(model: Path, voice: Path, tmp_path: Path) -> None:
    out = tmp_path / "me.png"
    command = ("generate", "--model", model, "--voice", voice, "--out", out, "--num-images", 2)
    made = json.loads(call_script(*command, "--json").stdout)
    assert (made["drawings"], made["num_images"], made["seed"]) == (str(out), 2, 0)
    result = call_script(*command, "--quiet")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert_one_line(call_script(*command, "--json", "--num-images", 0), "between 1 and 1024")


def test_without_a_model_the_one_that_ships_draws(
    model: Path, voice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "shipped_weights", {"model": model}.__getitem__)
    generate.main(["--voice", str(voice), "--out", str(tmp_path / "one.png"), "--num-images", "1"])
    with Image.open(tmp_path / "one.png") as picture:
        assert picture.size == (64, 64)


def test_each_mistake_is_one_line_and_exit_code_2_and_writes_nothing(model: Path, voice: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.wav"
    text.write_text("this is no sound")
    silence = tmp_path / "silence.wav"
    soundfile.write(silence, np.zeros(48_000), 16_000)
    cut_off = tmp_path / "cut.safetensors"
    cut_off.mkdir()
    for name in ("config.json", "README.md"):
        (cut_off / name).write_bytes((model / name).read_bytes())
    (cut_off / "model.safetensors").write_bytes((model / "model.safetensors").read_bytes()[:1000])
    out = tmp_path / "out.png"
    mistakes: list[tuple[Path, Path, Path, tuple[object, ...], str]] = [
        (model, text, out, (), "text.wav"),
        (model, silence, out, (), "silence.wav"),
        (model, tmp_path / "gone.wav", out, (), "gone.wav"),
        (tmp_path / "gone", voice, out, (), "gone"),
        (cut_off, voice, out, (), "cut.safetensors"),
        (model, voice, tmp_path / "no" / "where.png", (), "create it first"),
        (model, voice, tmp_path / "out.jpg", (), "ends in .png"),
        (model, voice, out, ("--num-images", 0), "between 1 and 1024"),
        (model, voice, out, ("--device", "abacus"), "abacus"),
        (model, voice, out, ("--variety", 1), "no sampler, so variety must be 0"),
        (model, voice, out, ("--variety", 2), "variety"),
    ]
    for from_model, recording, to, more, message in mistakes:
        command = ("generate", "--model", from_model, "--voice", recording, "--out", to, *more)
        assert_one_line(call_script(*command), message)
        assert not to.exists()
