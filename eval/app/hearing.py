"""What the page hears in a recording: its speech, how loud it is, a picture of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from PIL import Image
from scipy.signal import ShortTimeFFT
from scipy.signal.windows import hann

from data.errors import MediaError, one_line
from data.media.audio import prepare_speech, read_waveform
from data.media.media_file import MediaFile
from data.media.waveform import SAMPLE_RATE, Waveform

QUIET_DBFS = -45.0
"""Quieter speech is said to be quiet: noise of the room is no longer far below it."""

MAX_TRACKS = 4
"""Files with more tracks of sound are refused: each may have to be listened to."""

_FRAME = SAMPLE_RATE // 20
_DISTORTED_SHARE = 1e-3  # of samples at full scale
_FULL_SCALE = 0.999
_DYNAMIC_RANGE = 70.0  # dB from white to black in the picture
_MAX_HERTZ = 5000.0
_MAX_COLUMNS = 900


@dataclass(frozen=True)
class Heard:
    """What was heard.

    Attributes:
        speech: [T] float32 at 16 kHz, as models hear it.
        total_seconds: Length of the whole recording.
        level: Loudness of its louder parts in dB below full scale.
        is_distorted: Whether the microphone was too loud.
    """

    speech: Waveform
    total_seconds: float
    level: float
    is_distorted: bool

    @property
    def sentence(self) -> str:
        """In one line, for the page."""
        advice = "distorted: speak less loudly" if self.is_distorted else "good"
        if self.level < QUIET_DBFS:
            advice = "quiet: come nearer to the microphone"
        return (
            f"{len(self.speech) / SAMPLE_RATE:.1f} s of speech in {self.total_seconds:.1f} s, "
            f"level {self.level:.0f} dBFS ({advice})"
        )


def hear(path: str | Path, max_seconds: float) -> Heard:
    """Read a visitor's file.

    Args:
        path: Any file.
        max_seconds: Longest recording that is read.

    Raises:
        MediaError: As `read_waveform` and `prepare_speech`; messages don't name the file.
    """
    try:
        _check_length(path, max_seconds)
        waveform = read_waveform(path, max_seconds)
        speech = prepare_speech(waveform)
    except MediaError as error:
        # The name is that of a temporary file, of no use to a visitor.
        message = one_line(error).replace(f"{path}: ", "").replace(str(path), "the recording")
        message = re.sub(r" \(\[Errno .*\)$", "", message)
        raise MediaError(error.reason, message) from None
    frames = waveform[: max(1, waveform.size // _FRAME) * _FRAME]
    frames = frames.reshape(-1, min(_FRAME, frames.size)).astype(np.float64)
    loud = float(np.percentile(np.sqrt(np.mean(frames**2, axis=1)), 90))
    return Heard(
        speech=speech,
        total_seconds=waveform.size / SAMPLE_RATE,
        level=20 * float(np.log10(max(loud, 1e-6))),
        is_distorted=bool(np.mean(np.abs(waveform) >= _FULL_SCALE) > _DISTORTED_SHARE),
    )


def _check_length(path: str | Path, max_seconds: float) -> None:
    """Refuse long files before any of their sound is decoded.

    Raises:
        MediaError: `too-long` or `unreadable`.
    """
    with MediaFile(path) as file:
        tracks = [track.index for track in file.container.streams.audio]
        if len(tracks) > MAX_TRACKS:
            raise MediaError("unreadable", f"{len(tracks)} tracks of sound, at most {MAX_TRACKS} are read")
        times = file.timeline.streams
        lengths = [times[track].end - times[track].begin for track in tracks]
    longest = max(filter(np.isfinite, lengths), default=0.0)
    if longest > max_seconds:
        raise MediaError("too-long", f"{longest / 60:.1f} minutes, at most {max_seconds:.0f} s are allowed")


def draw_spectrogram(waveform: Waveform) -> Image.Image:
    """A picture of a waveform [T]: time to the right, 0 to 5 kHz upwards, loud is dark."""
    transform = ShortTimeFFT(hann(400), hop=160, fs=SAMPLE_RATE, mfft=512, scale_to="magnitude")
    power = np.abs(transform.stft(waveform.astype(np.float64))) ** 2
    power = power[transform.f <= _MAX_HERTZ]
    step = max(1, power.shape[1] // _MAX_COLUMNS)
    power = power[:, : power.shape[1] // step * step].reshape(len(power), -1, step).mean(axis=2)
    level = 10 * np.log10(power + 1e-12)
    shade = np.clip((level - level.max()) / _DYNAMIC_RANGE + 1, 0, 1)
    pixels = colormaps["magma_r"](shade[::-1], bytes=True)[..., :3]
    return Image.fromarray(np.ascontiguousarray(pixels))
