"""From any recording to the speech that models hear: decode, mono, 16 kHz, silence cut, loudness evened.

`prepare_speech` is the one way there, for preparing data, training, evaluating and drawing alike, so that
they can't disagree. Waveforms are [T] float32 in [-1, 1] at 16 kHz everywhere.
"""

from __future__ import annotations

import functools
import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from data.errors import MediaError
from data.media.decoding import MAX_SECONDS, Tally, decode_sound, open_media
from data.media.waveform import MIN_SPEECH_SECONDS, SAMPLE_RATE, Waveform

VoiceActivity = Literal["silero", "none"]

Span = tuple[float, float]
"""Start and end in seconds."""

LOUDNESS_DBFS = -26.0
"""Root mean square that `even_loudness` aims at, in dB below full scale."""

_SILENT_DBFS = -70.0  # quieter than the noise of any microphone: nothing was recorded
_PEAK = 0.99
_MOMENT = 320  # samples: 20 ms
_MARGIN_MS = 100  # kept on both sides of speech, so that plosives and breath survive the cut


def read_waveform(path: str | Path, max_seconds: float = MAX_SECONDS) -> Waveform:
    """Decode the first audio stream of a file.

    Args:
        path: Any audio or video container that PyAV reads.
        max_seconds: Decoding stops and fails beyond this length, whatever the header says.

    Returns:
        [T] float32, 16 kHz mono, T >= 1.

    Raises:
        MediaError: `unreadable`, `no-audio`, `empty`, `too-long`, `damaged` or `not-finite`.

    Example:
        >>> waveform = read_waveform("me.wav")
        >>> waveform.dtype, waveform.ndim, len(waveform) > SAMPLE_RATE
        (dtype('float32'), 1, True)
    """
    with open_media(path) as container:
        if not container.streams.audio:
            raise MediaError("no-audio", f"{path}: holds no audio stream")
        waveform = _decode(container, path, max_seconds)
    if not np.isfinite(waveform).all():
        raise MediaError("not-finite", f"{path}: holds samples that are NaN or infinite")
    return waveform


def _decode(container: Any, path: str | Path, max_seconds: float) -> Waveform:
    """The first audio stream, never holding more than `max_seconds`."""
    import av

    stream = container.streams.audio[0]
    declared = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
    if declared > max_seconds:
        raise MediaError("too-long", f"{path}: {declared / 60:.0f} minutes, at most {max_seconds / 60:.0f} allowed")
    tally = Tally()
    pieces: list[Waveform] = []
    num_samples = 0
    try:
        for _, piece in decode_sound(container, stream, tally):
            pieces.append(piece)
            num_samples += piece.size
            if num_samples > max_seconds * SAMPLE_RATE:
                raise MediaError("too-long", f"{path}: longer than the {max_seconds / 60:.0f} minutes allowed")
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(
            "damaged", f"{path}: decoding stopped at {num_samples / SAMPLE_RATE:.1f} s: {error}"
        ) from error
    tally.check(path, bool(num_samples))
    if not num_samples:
        raise MediaError("empty", f"{path}: holds no audio samples")
    # Containers with an index know their true length; what is missing was cut off.
    if container.format.name.startswith(("mov", "matroska")) and num_samples / SAMPLE_RATE < 0.95 * declared - 0.25:
        raise MediaError(
            "truncated", f"{path}: only {num_samples / SAMPLE_RATE:.1f} of {declared:.1f} seconds are there"
        )
    return np.concatenate(pieces)


def find_speech(waveform: Waveform) -> list[Span]:
    """Where silero-vad hears speech, with margins of 100 ms.

    Returns:
        Sorted disjoint spans within the waveform [T].
    """
    import torch

    model, get_speech_timestamps = _silero()
    with torch.inference_mode():
        spans = get_speech_timestamps(
            torch.from_numpy(np.ascontiguousarray(waveform)),
            model,
            sampling_rate=SAMPLE_RATE,
            speech_pad_ms=_MARGIN_MS,
        )
    return [(span["start"] / SAMPLE_RATE, span["end"] / SAMPLE_RATE) for span in spans]


def cut_silence(waveform: Waveform) -> Waveform:
    """Keep what `find_speech` finds.

    Returns:
        [T'] float32 with T' <= T; empty if there is no speech.
    """
    return take_spans(waveform, find_speech(waveform))


def take_spans(waveform: Waveform, spans: Sequence[Span]) -> Waveform:
    """What lies within sorted disjoint spans of a waveform [T], one after the other."""
    parts = (waveform[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)] for start, end in spans)
    return np.concatenate([np.zeros(0, np.float32), *parts])


def loudness_range(speech: Waveform) -> float:
    """By how many dB the loud tenth of a recording's moments of 20 ms lies above its most quiet twentieth.

    Between syllables speech all but stops, so that what goes on behind it is heard.

    Args:
        speech: [T] at 16 kHz, T of some seconds, silence cut.
    """
    moments = speech[: speech.size // _MOMENT * _MOMENT].reshape(-1, _MOMENT).astype(np.float64)
    levels = 10 * np.log10(np.mean(moments**2, axis=1) + 1e-12)
    low, high = np.percentile(levels, (5, 90)) if levels.size else (0.0, 0.0)
    return float(high - low)


@functools.cache
def _silero() -> tuple[Any, Any]:
    """The model that the wheel carries, one a process, and the function that turns its output into spans."""
    import torch

    num_threads = torch.get_num_threads()
    import silero_vad

    torch.set_num_threads(num_threads)  # importing silero_vad sets it to 1 for the whole process
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its way of loading is deprecated; nothing the user could do
        return silero_vad.load_silero_vad(), silero_vad.get_speech_timestamps


def even_loudness(waveform: Waveform) -> Waveform:
    """Scale to `LOUDNESS_DBFS` RMS, or less where peaks would pass full scale; silence stays as it is."""
    rms = _rms(waveform)
    if rms == 0.0:
        return waveform
    gain = min(10 ** (LOUDNESS_DBFS / 20) / rms, _PEAK / float(np.abs(waveform).max()))
    return (waveform * np.float32(gain)).astype(np.float32)


def prepare_speech(
    waveform: NDArray[np.floating[Any]],
    voice_activity: VoiceActivity = "silero",
    min_seconds: float = MIN_SPEECH_SECONDS,
) -> Waveform:
    """From a decoded recording to the speech that is stored and that models hear.

    Args:
        waveform: [T] 16 kHz mono.
        voice_activity: `silero` cuts silence; `none` trusts that there is none.
        min_seconds: Less speech than this is refused.

    Returns:
        [T'] float32 in [-1, 1].

    Raises:
        MediaError: `not-finite`, `silent`, `no-speech` or `too-short`.

    Example:
        >>> waveform = read_waveform("me.wav")
        >>> speech = prepare_speech(waveform)
        >>> len(speech) <= len(waveform)
        True
    """
    waveform = np.ascontiguousarray(waveform, dtype=np.float32)
    if waveform.ndim != 1:
        raise ValueError(f"a mono waveform [T] expected, got shape {waveform.shape}")
    if not np.isfinite(waveform).all():
        raise MediaError("not-finite", "the waveform holds samples that are NaN or infinite")
    if _rms(waveform) < 10 ** (_SILENT_DBFS / 20):
        raise MediaError("silent", "the recording is silent")
    # Evened before as well: the detector overlooks quiet speech.
    speech = cut_silence(even_loudness(waveform)) if voice_activity == "silero" else waveform
    if not speech.size:
        raise MediaError("no-speech", "no speech was found in the recording")
    seconds = speech.size / SAMPLE_RATE
    if seconds < min_seconds:
        raise MediaError("too-short", f"{seconds:.2f} s of speech, at least {min_seconds:g} s needed")
    return even_loudness(speech)


def load_speech(
    path: str | Path, voice_activity: VoiceActivity = "silero", max_seconds: float = MAX_SECONDS
) -> Waveform:
    """`read_waveform`, then `prepare_speech`; every `MediaError` names the file.

    Example:
        >>> speech = load_speech("me.wav")
        >>> bool(abs(speech).max() <= 1)
        True
    """
    waveform = read_waveform(path, max_seconds)
    try:
        return prepare_speech(waveform, voice_activity)
    except MediaError as error:
        raise MediaError(error.reason, f"{path}: {error}") from error


def _rms(waveform: Waveform) -> float:
    return float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64)))) if waveform.size else 0.0


def fit_duration(waveform: Waveform, num_samples: int, start: int | None = None) -> Waveform:
    """Make a clip exactly `num_samples` long: shorter ones are tiled, as Speech2Face does, longer ones are
    cropped.

    Args:
        waveform: [T] with T >= 1.
        num_samples: Length of the result.
        start: First sample of the crop, in [0, T - num_samples]; None for the middle. Ignored when T <=
            num_samples.

    Returns:
        [num_samples].
    """
    if not waveform.size:
        raise ValueError("an empty waveform can't be tiled")
    if waveform.size <= num_samples:
        return np.resize(waveform, num_samples)  # numpy's resize repeats the array
    if start is None:
        start = (waveform.size - num_samples) // 2
    if not 0 <= start <= waveform.size - num_samples:
        raise ValueError(f"a crop of {num_samples} at {start} leaves a clip of {waveform.size} samples")
    return waveform[start : start + num_samples]


def encode_flac(waveform: Waveform) -> bytes:
    """[T] in [-1, 1] at 16 kHz as 16-bit FLAC bytes."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, waveform, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def decode_flac(data: bytes) -> Waveform:
    """[T] float32 out of the bytes that `encode_flac` made.

    Raises:
        MediaError: If the bytes are damaged or not 16 kHz mono.
    """
    import soundfile

    try:
        waveform, sample_rate = soundfile.read(io.BytesIO(data), dtype="float32")
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise MediaError("unreadable", f"a stored recording can't be decoded: {error}") from error
    if waveform.ndim != 1 or sample_rate != SAMPLE_RATE:
        raise MediaError("unreadable", f"a stored recording is not {SAMPLE_RATE} Hz mono")
    return waveform
