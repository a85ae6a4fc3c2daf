"""What the page hears in a recording."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from data.errors import MediaError
from data.media.audio import load_speech
from data.media.waveform import SAMPLE_RATE
from eval.app.hearing import draw_spectrogram, hear


def test_what_is_heard_is_what_models_hear(voice: Path) -> None:
    heard = hear(voice, max_seconds=60)
    np.testing.assert_array_equal(heard.speech, load_speech(voice))
    assert heard.total_seconds == pytest.approx(soundfile.info(voice).duration, abs=0.01)
    assert heard.sentence.startswith(f"{len(heard.speech) / SAMPLE_RATE:.1f} s of speech in ")


def test_loudness_comes_with_advice(voice: Path, tmp_path: Path) -> None:
    waveform, _ = soundfile.read(voice, dtype="float32")
    waveform /= np.abs(waveform).max()

    def heard_at(gain: float) -> str:
        soundfile.write(tmp_path / "loud.wav", np.clip(gain * waveform, -1, 1), SAMPLE_RATE, subtype="FLOAT")
        return hear(tmp_path / "loud.wav", 60).sentence

    assert heard_at(0.5).endswith("(good)")
    assert heard_at(0.004).endswith("(quiet: come nearer to the microphone)")
    assert heard_at(20).endswith("(distorted: speak less loudly)")


def test_a_level_is_that_of_the_louder_parts(tmp_path: Path, voice: Path) -> None:
    waveform, _ = soundfile.read(voice, dtype="float32")
    pause = np.zeros(5 * SAMPLE_RATE, np.float32)
    soundfile.write(tmp_path / "pauses.wav", np.concatenate([waveform, waveform, pause]), SAMPLE_RATE)
    level = hear(tmp_path / "pauses.wav", 60).level
    assert level == pytest.approx(hear(voice, 60).level, abs=3)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"PK\x03\x04" + b"not a recording " * 100, "no audio or video that FFmpeg can read"),
        (b"", "is empty"),
    ],
)
def test_rubbish_is_one_line_without_the_name_of_the_file(tmp_path: Path, content: bytes, line: str) -> None:
    path = tmp_path / "rubbish.wav"
    path.write_bytes(content)
    with pytest.raises(MediaError, match=line) as error:
        hear(path, 60)
    assert str(tmp_path) not in str(error.value) and "\n" not in str(error.value)


def write_opus(path: Path, seconds: int, num_tracks: int = 1) -> Path:
    """Quiet noise, a few kilobytes a minute."""
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("libopus", rate=48_000, bit_rate=6000) for _ in range(num_tracks)]
        noise = (np.random.default_rng(0).standard_normal((1, 48_000)) * 300).astype(np.int16)
        for stream in streams:
            for second in range(seconds):
                frame = av.AudioFrame.from_ndarray(noise, format="s16", layout="mono")
                frame.sample_rate, frame.pts = 48_000, second * 48_000
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


def test_a_long_recording_in_a_small_file_is_refused(tmp_path: Path) -> None:
    path = write_opus(tmp_path / "long.ogg", seconds=90)
    assert path.stat().st_size < 200_000
    with pytest.raises(MediaError, match=r"^1.5 minutes, at most 60 s are allowed$") as error:
        hear(path, 60)
    assert error.value.reason == "too-long"


def test_many_tracks_are_refused_before_any_is_listened_to(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="5 tracks of sound, at most 4 are read"):
        hear(write_opus(tmp_path / "many.mkv", seconds=2, num_tracks=5), 60)


def test_a_tone_is_a_dark_line_in_the_spectrogram() -> None:
    tone = (0.1 * np.sin(2 * np.pi * 1250 * np.arange(SAMPLE_RATE) / SAMPLE_RATE)).astype(np.float32)
    picture = np.asarray(draw_spectrogram(tone)).astype(int).sum(axis=2)
    darkest = picture.mean(axis=1).argmin()
    assert darkest / len(picture) == pytest.approx(0.75, abs=0.02)  # a quarter of 5 kHz from below


def test_a_long_spectrogram_is_no_wider_than_the_page() -> None:
    noise = np.random.default_rng(0).standard_normal(60 * SAMPLE_RATE).astype(np.float32)
    assert draw_spectrogram(noise).width <= 1000
