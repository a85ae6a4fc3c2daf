"""Which track of a file is heard, and which of its channels."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from data.errors import MediaError
from data.media.audio import load_speech, prepare_speech, read_waveform
from data.media.loudness import LOUDNESS_DBFS, is_silent, level_loudness, remove_offset, rms
from data.media.waveform import SAMPLE_RATE
from data.personas.footage.vowels import speak
from data.videos.watch.decode import VideoFile

SPEECH = speak(1, seconds=2.0)


def write_tracks(path: Path, tracks: list[np.ndarray], defaults: tuple[int, ...] = (), pictures: bool = False) -> Path:
    """A file of several tracks of sound."""
    with av.open(str(path), "w") as container:
        if pictures:
            video = container.add_stream("mpeg4", rate=10)
            video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        streams = [container.add_stream("pcm_s16le", rate=SAMPLE_RATE, layout="mono") for _ in tracks]
        for number, stream in enumerate(streams):
            stream.disposition = av.stream.Disposition.default if number in defaults else av.stream.Disposition(0)
        container.start_encoding()
        if pictures:
            for i in range(20):
                frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 10 * i, np.uint8), "rgb24")
                frame.pts, frame.time_base = i, Fraction(1, 10)
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
        for stream, waveform in zip(streams, tracks, strict=True):
            for at in range(0, waveform.size, 1600):
                piece = (waveform[at : at + 1600] * 32767).astype(np.int16)
                frame = av.AudioFrame.from_ndarray(piece[None], "s16", "mono")
                frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, at, Fraction(1, SAMPLE_RATE)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


def likeness(waveform: np.ndarray, other: np.ndarray) -> float:
    num_samples = min(waveform.size, other.size)
    return abs(float(np.corrcoef(waveform[:num_samples], other[:num_samples])[0, 1]))


def music(seconds: float = 2.0) -> np.ndarray:
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (0.2 * np.sin(2 * np.pi * 3000 * time)).astype(np.float32)


SILENCE = np.zeros(2 * SAMPLE_RATE, np.float32)


@pytest.mark.parametrize(
    "tracks, defaults, wanted",
    [
        (("speech", "music"), (), 0),
        (("silence", "speech"), (0,), 1),
        (("music", "speech"), (0,), 1),
        (("silence", "music"), (0,), 1),
        (("speech", "other speech"), (1,), 1),
        (("silence", "silence"), (1,), 1),
    ],
)
def test_the_track_with_speech_is_heard(
    tmp_path: Path, tracks: tuple[str, ...], defaults: tuple[int, ...], wanted: int
) -> None:
    sounds = {"speech": SPEECH, "other speech": speak(5, seconds=2.0), "music": music(), "silence": SILENCE}
    path = write_tracks(tmp_path / "a.mkv", [sounds[name] for name in tracks], defaults, pictures=True)
    with VideoFile(path) as video:
        assert video.sound_track == 1 + wanted
        waveform = video.waveform(video.begin, None)
    np.testing.assert_array_equal(waveform, read_waveform(path))
    if tracks[wanted] != "silence":
        assert likeness(waveform, sounds[tracks[wanted]]) > 0.99


def test_a_track_that_cannot_be_decoded_is_passed_over(tmp_path: Path) -> None:
    path = write_tracks(tmp_path / "a.mkv", [music(), SPEECH])
    content = path.read_bytes()
    place = content.index(b"A_PCM/INT/LIT")
    path.write_bytes(content[:place] + b"A_XYZ/UNKNOWN" + content[place + 13 :])
    assert likeness(read_waveform(path), SPEECH) > 0.99
    content = path.read_bytes().replace(b"A_PCM/INT/LIT", b"A_XYZ/UNKNOWN")
    path.write_bytes(content)
    with pytest.raises(MediaError) as caught:
        read_waveform(path)
    assert caught.value.reason == "damaged"


@pytest.mark.parametrize("noise", [0.0, 0.001])
def test_speech_in_antiphase_is_heard(tmp_path: Path, noise: float) -> None:
    noises = np.random.default_rng(0).normal(0, noise, (SPEECH.size, 2)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", np.stack([SPEECH, -SPEECH], 1) + noises, SAMPLE_RATE)
    assert likeness(read_waveform(tmp_path / "a.wav"), SPEECH) > 0.99
    assert load_speech(tmp_path / "a.wav").size > SAMPLE_RATE


@pytest.mark.parametrize("num_channels", [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 24, 32, 33, 64])
def test_speech_in_any_of_up_to_64_channels_is_heard(tmp_path: Path, num_channels: int) -> None:
    for spoken in {0, num_channels // 2, num_channels - 1}:
        channels = np.random.default_rng(0).normal(0, 1e-4, (SPEECH.size, num_channels)).astype(np.float32)
        channels[:, spoken] += 0.1 * SPEECH
        soundfile.write(tmp_path / "a.wav", channels, SAMPLE_RATE)
        assert likeness(read_waveform(tmp_path / "a.wav"), SPEECH) > 0.98, (num_channels, spoken)


@pytest.mark.parametrize("sample_format", ["s16", "s16p", "s32", "flt", "fltp", "u8", "dblp"])
def test_channels_are_read_in_every_sample_format(sample_format: str) -> None:
    from data.media.channels import channel_samples

    samples = np.stack([SPEECH[:1600], -SPEECH[:1600], 0.5 * SPEECH[:1600]])
    frame = av.AudioFrame.from_ndarray(samples, "fltp", "2.1")
    frame.sample_rate = SAMPLE_RATE
    (converted,) = av.AudioResampler(format=sample_format, layout="2.1", rate=SAMPLE_RATE).resample(frame)
    np.testing.assert_allclose(channel_samples(converted), samples, atol=0.01 if sample_format == "u8" else 1e-4)


def test_a_constant_offset_is_removed_before_levels_are_measured() -> None:
    quiet = (0.01 * SPEECH).astype(np.float32)
    np.testing.assert_allclose(level_loudness(quiet + np.float32(0.2)), level_loudness(quiet), atol=2e-3)
    np.testing.assert_allclose(prepare_speech(quiet + np.float32(0.2)), prepare_speech(quiet), atol=2e-3)
    assert is_silent(np.full(SAMPLE_RATE, 0.3, np.float32))
    assert 20 * np.log10(rms(level_loudness(SPEECH + np.float32(0.1)))) == pytest.approx(LOUDNESS_DBFS, abs=0.1)
    centred = SPEECH - SPEECH.mean()
    assert remove_offset(centred) is centred


def test_an_offset_in_one_channel_does_not_make_it_the_loudest(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.stack([0.3 * SPEECH, 0.7 + 0 * SPEECH], 1), SAMPLE_RATE)
    assert likeness(read_waveform(tmp_path / "a.wav"), SPEECH) > 0.99
