"""Videos that tell the time: every frame shows its number, and every half second a tone starts that tells which."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

SAMPLE_RATE = 48_000
FPS = 25
_BLOCK = 16
_NUM_BITS = 10
_BURST = 0.1  # seconds that a tone lasts


def make_clock_video(
    path: Path,
    seconds: float = 6.0,
    keyframe_interval: int = 25,
    video_codec: str = "libx264",
    audio_codec: str | None = "aac",
    num_b_frames: int = 2,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Write a video of `FPS` frames a second in whatever container the suffix says.

    Args:
        path: Where to.
        seconds: How long.
        keyframe_interval: In frames.
        video_codec: None-like "" for sound alone.
        audio_codec: None for no sound.
        num_b_frames: Of libx264.
        container_options: Such as `movflags`.
    """
    with av.open(str(path), "w", options=container_options or {}) as container:
        video = None
        if video_codec:
            video = container.add_stream(video_codec, rate=FPS)
            video.width, video.height, video.pix_fmt = _BLOCK * _NUM_BITS, 2 * _BLOCK, "yuv420p"
            video.gop_size = keyframe_interval
            video.options = {"bf": str(num_b_frames), "sc_threshold": "0"} if video_codec == "libx264" else {}
        audio = container.add_stream(audio_codec, rate=SAMPLE_RATE, layout="mono") if audio_codec else None
        waveform = _tones(seconds)
        num_frames = round(seconds * FPS)
        samples_a_frame = SAMPLE_RATE // FPS
        resampler = av.AudioResampler(audio.codec_context.format.name, "mono", SAMPLE_RATE) if audio else None
        for number in range(num_frames):
            if video is not None:
                frame = av.VideoFrame.from_ndarray(draw_number(number), "rgb24")
                frame.pts, frame.time_base = number, Fraction(1, FPS)
                container.mux(video.encode(frame))
            if audio is not None:
                piece = waveform[number * samples_a_frame : (number + 1) * samples_a_frame]
                sound = av.AudioFrame.from_ndarray(piece[None], "flt", "mono")
                sound.sample_rate, sound.time_base = SAMPLE_RATE, Fraction(1, SAMPLE_RATE)
                sound.pts = number * samples_a_frame
                for resampled in resampler.resample(sound):
                    container.mux(audio.encode(resampled))
        if video is not None:
            container.mux(video.encode(None))
        if audio is not None:
            container.mux(audio.encode(None))
    return path


def read_frames(path: str) -> list[tuple[float, float]]:
    """(pts in seconds, second of the video that the picture shows) of each frame, in order."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        return [
            (float(frame.pts * frame.time_base), read_number(frame.to_ndarray(format="gray")) / FPS)
            for frame in container.decode(stream)
        ]


def read_tones(path: str) -> list[tuple[float, float]]:
    """(pts in seconds, second of the video that the tone tells) at the start of each tone that is there whole."""
    pieces, first = [], None
    with av.open(path) as container:
        for frame in container.decode(audio=0):
            samples = frame.to_ndarray().astype(np.float32).reshape(-1)
            start = float(frame.pts * frame.time_base)
            first = start if first is None else first
            assert abs(start - first - sum(map(len, pieces)) / frame.sample_rate) < 0.002, "a gap in the sound"
            pieces.append(samples)
            rate = frame.sample_rate
    return [(first + second, told) for second, told in find_tones(np.concatenate(pieces), rate)]


def find_tones(waveform: np.ndarray, rate: int) -> list[tuple[float, float]]:
    """(second at which it starts, second of the video that it tells) of each tone in [T] that is there whole."""
    peak = np.abs(waveform).max()
    length = int(_BURST * rate)
    width = max(4, rate // 750)
    smooth = np.convolve(np.abs(waveform), np.ones(width) / width, "same")
    loud = np.flatnonzero(smooth > 0.25 * peak)
    starts = loud[np.flatnonzero(np.diff(loud, prepend=-rate) > rate // 8)]
    found = []
    for start in starts:
        piece = waveform[start + length // 8 : start + length * 7 // 8]
        if start < length or piece.size < length * 3 // 4 or smooth[start + length * 7 // 8] < 0.25 * peak:
            continue
        spectrum = np.abs(np.fft.rfft(piece * np.hanning(piece.size), 8 * piece.size))
        frequency = spectrum.argmax() * rate / (8 * piece.size)
        found.append((start / rate, round((frequency - 600) / 100) / 2))
    return found


def draw_number(number: int) -> np.ndarray:
    """A picture that shows a number in black and white bars."""
    bits = [(number >> bit) & 1 for bit in range(_NUM_BITS)]
    row = np.repeat(np.array(bits, np.uint8) * 255, _BLOCK)
    return np.broadcast_to(row[None, :, None], (2 * _BLOCK, row.size, 3)).copy()


def read_number(image: np.ndarray) -> int:
    """The number that a grey picture [H, W] shows."""
    means = image.reshape(2 * _BLOCK, _NUM_BITS, _BLOCK).mean((0, 2))
    return sum(int(mean > 127) << bit for bit, mean in enumerate(means))


def _tones(seconds: float) -> np.ndarray:
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    half, since = np.divmod(time, 0.5)
    return (0.5 * np.sin(2 * np.pi * (600 + 100 * half) * since) * (since < _BURST)).astype(np.float32)
