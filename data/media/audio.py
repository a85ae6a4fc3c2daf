"""From any recording to the speech that models hear: decode, mono, 16 kHz, silence cut, loudness levelled.

`prepare_speech` is the one way there, for preparing data, training, evaluating and drawing alike, so that
they can't disagree. Waveforms are [T] float32 in [-1, 1] at 16 kHz everywhere.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import MediaError
from data.media.decoding import MAX_SECONDS
from data.media.loudness import is_silent, level_loudness
from data.media.media_file import MediaFile
from data.media.voice_activity import VoiceActivity, cut_silence
from data.media.waveform import MIN_SPEECH_SECONDS, SAMPLE_RATE, Waveform, check_finite


def read_waveform(path: str | Path, max_seconds: float = MAX_SECONDS) -> Waveform:
    """Decode the sound of a file, from its first sample on.

    Of several tracks the first with speech is taken, those marked as default first. Gaps between time stamps become
    silence. Channels are mixed; where mixing loses them (left = -right), the loudest is taken.

    Args:
        path: Any audio or video container that PyAV reads.
        max_seconds: Longer recordings are refused, whatever the header says.

    Returns:
        [T] float32, 16 kHz mono, T >= 1.

    Raises:
        MediaError: `unreadable`, `no-audio`, `empty`, `too-long`, `damaged`, `truncated`, `clock-jumps` or
            `not-finite`.

    Example:
        >>> waveform = read_waveform("me.wav")
        >>> waveform.dtype, waveform.ndim, len(waveform) > SAMPLE_RATE
        (dtype('float32'), 1, True)
    """
    with MediaFile(path) as file:
        track = file.sound_track
        timeline = file.timeline
        timeline.check(track)
        begin, end = timeline.begin(track), timeline.end(track)
        if end - begin > max_seconds:
            raise MediaError(
                "too-long",
                f"{path}: {(end - begin) / 60:.0f} minutes, at most {max_seconds / 60:.0f} allowed",
            )
        timeline.check_complete(track)
        waveform = file.read_sound(track, begin, begin + max_seconds)
    if not waveform.size:
        raise MediaError("empty", f"{path}: holds no audio samples")
    return waveform


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
    check_finite(waveform)
    if is_silent(waveform):
        raise MediaError("silent", "the recording is silent")
    # Levelled before as well: the detector overlooks quiet speech.
    speech = cut_silence(level_loudness(waveform)) if voice_activity == "silero" else waveform
    if not speech.size:
        raise MediaError("no-speech", "no speech was found in the recording")
    seconds = speech.size / SAMPLE_RATE
    if seconds < min_seconds:
        raise MediaError("too-short", f"{seconds:.2f} s of speech, at least {min_seconds:g} s needed")
    return level_loudness(speech)


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


def fit_duration(waveform: Waveform, num_samples: int, start: int | None = None) -> Waveform:
    """Make a clip exactly `num_samples` long: shorter ones are tiled, as Speech2Face does, longer ones are cropped.

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
