import socket
import struct
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import torch

from data.errors import MediaError
from data.media import voice_activity
from data.media.audio import (
    decode_flac,
    encode_flac,
    fit_duration,
    load_speech,
    prepare_speech,
    read_waveform,
)
from data.media.loudness import LOUDNESS_DBFS, level_loudness, loudness_range
from data.media.voice_activity import cut_silence
from data.media.waveform import SAMPLE_RATE
from data.personas.footage.vowels import speak


def refusal(path: Path, max_seconds: float = 3600) -> str:
    with pytest.raises(MediaError) as caught:
        read_waveform(path, max_seconds)
    assert str(path) in str(caught.value)
    return caught.value.reason


def write_container(path: Path, waveform: np.ndarray, codec: str, rate: int = 44_100, **options: str) -> None:
    """Encode in any container that FFmpeg writes, as a phone or a camera would."""
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=rate, layout="stereo")
        resampler = av.AudioResampler("fltp" if codec in ("aac", "libmp3lame") else "s16", "stereo", rate)
        frame = av.AudioFrame.from_ndarray(waveform[None], "flt", "mono")
        frame.sample_rate, frame.time_base = SAMPLE_RATE, Fraction(1, SAMPLE_RATE)
        for resampled in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(resampled))
        container.mux(stream.encode(None))


def tone(seconds: float, frequency: float = 440) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE)).astype(
        np.float32
    )


@pytest.mark.parametrize("name, codec", [("a.m4a", "aac"), ("a.mkv", "aac"), ("a.mov", "pcm_s16le")])
def test_any_container_becomes_16_khz_mono(tmp_path: Path, name: str, codec: str) -> None:
    write_container(tmp_path / name, tone(1.0), codec)
    waveform = read_waveform(tmp_path / name)
    assert waveform.dtype == np.float32 and waveform.ndim == 1
    assert abs(waveform.size / SAMPLE_RATE - 1) < 0.1
    spectrum = np.abs(np.fft.rfft(waveform[4000:12000] * np.hanning(8000)))
    assert abs(spectrum.argmax() * SAMPLE_RATE / 8000 - 440) < 4
    assert abs(np.abs(waveform[4000:12000]).max() - 0.3) < 0.03


def test_both_channels_are_heard(tmp_path: Path) -> None:
    left, right = tone(1, 300), tone(1, 2000)
    soundfile.write(tmp_path / "stereo.wav", np.stack([left, right], 1), SAMPLE_RATE)
    spectrum = np.abs(np.fft.rfft(read_waveform(tmp_path / "stereo.wav")[:16000]))
    assert {300, 2000} == set(np.argsort(spectrum)[-2:].tolist())


def test_a_text_file_named_wav_is_refused(tmp_path: Path) -> None:
    (tmp_path / "note.wav").write_text("not a recording\n" * 100)
    assert refusal(tmp_path / "note.wav") == "unreadable"


@pytest.mark.parametrize("name", ["a.flac", "a.wav", "a.mp4"])
def test_a_zero_length_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert refusal(tmp_path / name) == "empty"


def test_a_recording_without_samples_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "none.flac", np.zeros(0, np.float32), SAMPLE_RATE)
    soundfile.write(tmp_path / "none.wav", np.zeros(0, np.float32), SAMPLE_RATE)
    assert refusal(tmp_path / "none.flac") in ("empty", "unreadable")
    assert refusal(tmp_path / "none.wav") == "empty"


@pytest.mark.parametrize("share", [0.3, 0.9])
@pytest.mark.parametrize("flags", ["", "faststart"])
def test_a_truncated_mp4_is_refused_wherever_its_index_is(tmp_path: Path, flags: str, share: float) -> None:
    path = tmp_path / "cut.mp4"
    noise = np.random.default_rng(0).normal(0, 0.1, 10 * SAMPLE_RATE).astype(np.float32)
    write_container(path, noise, "aac", **({"movflags": flags} if flags else {}))
    assert abs(read_waveform(path).size / SAMPLE_RATE - 10) < 0.1
    content = path.read_bytes()
    path.write_bytes(content[: int(share * 0.95 * len(content))])
    assert refusal(path) in ("unreadable", "truncated", "damaged")


def test_a_video_without_sound_is_refused(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "mute.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24")))
        container.mux(stream.encode(None))
    assert refusal(tmp_path / "mute.mp4") == "no-audio"


def test_a_10_hour_file_is_refused_without_decoding_it(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    with path.open("wb") as file:
        size = 10 * 3600 * 8000
        file.write(b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt ")
        file.write(struct.pack("<IHHIIHH", 16, 1, 1, 8000, 8000, 1, 8) + b"data" + struct.pack("<I", size))
        file.truncate(44 + size)  # sparse: takes no room
    assert refusal(path) == "too-long"


def test_a_file_longer_than_its_header_says_is_decoded_no_further_than_allowed(tmp_path: Path) -> None:
    path = tmp_path / "liar.aac"  # raw frames declare no length
    write_container(path, np.zeros(20 * SAMPLE_RATE, np.float32), "aac")
    assert refusal(path, max_seconds=2) == "too-long"


def test_nan_samples_are_refused_in_files_and_arrays(tmp_path: Path) -> None:
    broken = tone(1)
    broken[100] = np.nan
    soundfile.write(tmp_path / "nan.wav", broken, SAMPLE_RATE, subtype="FLOAT")
    assert refusal(tmp_path / "nan.wav") == "not-finite"
    with pytest.raises(MediaError) as caught:
        prepare_speech(broken)
    assert caught.value.reason == "not-finite"


def test_names_are_never_read_as_protocols(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data:text").mkdir()
    for name in ("http://localhost/x.wav", "concat:a.wav|b.wav", "data:text/plain,hello"):
        assert refusal(Path(name)) == "unreadable"


def test_a_playlist_that_calls_itself_a_recording_opens_nothing_on_the_network(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x.ts"
        (tmp_path / "list.m3u8").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{url}\n#EXT-X-ENDLIST\n")
        assert refusal(tmp_path / "list.m3u8") == "unreadable"
        server.settimeout(0.1)
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.parametrize("level", [0.0, 1e-5])
def test_three_seconds_of_silence_are_refused(level: float) -> None:
    silence = np.random.default_rng(0).normal(0, level, 3 * SAMPLE_RATE).astype(np.float32)
    with pytest.raises(MediaError) as caught:
        prepare_speech(silence)
    assert caught.value.reason == "silent"


def test_noise_without_speech_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, 3 * SAMPLE_RATE).astype(np.float32)
    soundfile.write(tmp_path / "noise.wav", noise, SAMPLE_RATE)
    with pytest.raises(MediaError, match=r"noise\.wav: ") as caught:
        load_speech(tmp_path / "noise.wav")
    assert caught.value.reason == "no-speech"


def test_less_than_half_a_second_of_speech_is_refused() -> None:
    with pytest.raises(MediaError) as caught:
        prepare_speech(speak(1, seconds=0.4), voice_activity="none")
    assert caught.value.reason == "too-short"


def test_silence_is_cut_and_speech_is_kept_whole() -> None:
    speech = speak(1, seconds=2.0)
    silence = np.zeros(2 * SAMPLE_RATE, np.float32)
    kept = cut_silence(np.concatenate([silence, speech, silence]))
    assert 1.2 < kept.size / SAMPLE_RATE < 2.4


def test_loading_the_speech_detector_leaves_torch_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("silero_vad")]:
        monkeypatch.delitem(sys.modules, name)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        voice_activity._silero.__wrapped__()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_quiet_and_loud_recordings_become_the_same() -> None:
    speech = speak(1, seconds=1.5)
    quiet, loud = prepare_speech(0.01 * speech), prepare_speech(2.5 * speech)
    assert quiet.shape == loud.shape
    np.testing.assert_allclose(quiet, loud, atol=1e-5)
    level = 20 * np.log10(np.sqrt(np.mean(loud**2)))
    assert abs(level - LOUDNESS_DBFS) < 0.1


def test_evening_loudness_never_clips() -> None:
    click = np.zeros(16000, np.float32)
    click[8000] = 0.01
    assert np.abs(level_loudness(click)).max() <= 1


def test_short_clips_are_tiled_and_long_ones_cropped() -> None:
    clip = np.arange(5, dtype=np.float32)
    assert fit_duration(clip, 12).tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]
    assert fit_duration(clip, 3).tolist() == [1, 2, 3]
    assert fit_duration(clip, 3, start=2).tolist() == [2, 3, 4]
    with pytest.raises(ValueError):
        fit_duration(clip, 3, start=3)


def test_what_goes_on_behind_speech_is_heard_between_its_syllables() -> None:
    speech = speak(1, seconds=3.0) * (np.arange(3 * SAMPLE_RATE) % 4000 < 3000)
    noise = np.random.default_rng(0).normal(0, 1, speech.size).astype(np.float32)
    loud = speech + 0.5 * float(np.sqrt(np.mean(speech**2))) * noise
    assert loudness_range(speech) > loudness_range(loud) + 3
    assert loudness_range(loud) == pytest.approx(loudness_range(10 * loud), abs=0.01)
    assert loudness_range(speech[:100]) == 0


def test_flac_keeps_16_bits() -> None:
    waveform = speak(2, seconds=0.6)
    np.testing.assert_allclose(decode_flac(encode_flac(waveform)), waveform, atol=1 / 32768)
    with pytest.raises(MediaError):
        decode_flac(b"rubbish")
