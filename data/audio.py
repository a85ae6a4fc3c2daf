"""From any recording to the speech that models hear: decode, mono, 16 kHz, silence cut, loudness evened.

`prepare_speech` is the one way there, for preparing data, training, evaluating and drawing alike, so that
they can't disagree. Waveforms are [T] float32 in [-1, 1] at 16 kHz everywhere.
"""

from __future__ import annotations

import functools
import io
import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from data.clip import MIN_SPEECH_SECONDS, SAMPLE_RATE
from data.errors import MediaError

Waveform = NDArray[np.float32]
VoiceActivity = Literal["silero", "none"]

MAX_SECONDS = 3600.0
"""Longer recordings are refused by default."""

LOUDNESS_DBFS = -26.0
"""Root mean square that `even_loudness` aims at, in dB below full scale."""

_SILENT_DBFS = -70.0  # quieter than the noise of any microphone: nothing was recorded
_PEAK = 0.99
_MARGIN_MS = 100  # kept on both sides of speech, so that plosives and breath survive the cut
_MAX_DAMAGED_PACKETS = 0.05  # streams cut out of broadcasts often start with a broken packet or two


def read_waveform(path: str | Path, max_seconds: float = MAX_SECONDS) -> Waveform:
    """Decode the first audio stream of a file.

    Args:
        path: Any audio or video container that PyAV reads.
        max_seconds: Decoding stops and fails beyond this length, whatever the header says.

    Returns:
        [T] float32, 16 kHz mono, T >= 1.

    Raises:
        MediaError: `unreadable`, `no-audio`, `empty`, `too-long`, `damaged` or `not-finite`.
    """
    import av

    path = Path(path)
    if path.is_file() and not path.stat().st_size:
        raise MediaError("empty", f"{path}: is empty")
    try:
        # With the prefix a name such as "http://..." or "concat:..." is a file's; with the whitelist a playlist
        # that calls itself a recording opens nothing on the network.
        container = av.open(f"file:{path}", options={"protocol_whitelist": "file"}, metadata_errors="ignore")
    except (av.FFmpegError, ValueError, OSError) as error:
        raise MediaError("unreadable", f"{path}: no audio or video that FFmpeg can read ({error})") from error
    with container:
        if not container.streams.audio:
            raise MediaError("no-audio", f"{path}: holds no audio stream")
        waveform = _decode(container, path, max_seconds)
    if not np.isfinite(waveform).all():
        raise MediaError("not-finite", f"{path}: holds samples that are NaN or infinite")
    return waveform


def _decode(container: Any, path: Path, max_seconds: float) -> Waveform:
    """Stream the first audio stream through a resampler, never holding more than `max_seconds`."""
    import av

    stream = container.streams.audio[0]
    stream.thread_type = "NONE"
    declared = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
    if declared > max_seconds:
        raise MediaError("too-long", f"{path}: {declared / 60:.0f} minutes, at most {max_seconds / 60:.0f} allowed")
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    pieces: list[Waveform] = []
    num_samples = num_packets = num_damaged = 0
    try:
        for packet in container.demux(stream):
            num_packets += 1
            try:
                frames = packet.decode()
            except av.FFmpegError:
                num_damaged += 1
                continue
            for frame in frames:
                for resampled in resampler.resample(frame):
                    pieces.append(resampled.to_ndarray().reshape(-1))
                    num_samples += pieces[-1].size
            if num_samples > max_seconds * SAMPLE_RATE:
                raise MediaError("too-long", f"{path}: longer than the {max_seconds / 60:.0f} minutes allowed")
        pieces += [rest.to_ndarray().reshape(-1) for rest in resampler.resample(None)] if pieces else []
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(
            "damaged", f"{path}: decoding stopped at {num_samples / SAMPLE_RATE:.1f} s: {error}"
        ) from error
    waveform = np.concatenate(pieces).astype(np.float32) if pieces else np.zeros(0, np.float32)
    if num_damaged > max(1.0, _MAX_DAMAGED_PACKETS * num_packets) or (num_damaged and not waveform.size):
        raise MediaError("damaged", f"{path}: {num_damaged} of {num_packets} packets can't be decoded")
    if not waveform.size:
        raise MediaError("empty", f"{path}: holds no audio samples")
    # Containers with an index know their true length; what is missing was cut off.
    if container.format.name.startswith(("mov", "matroska")) and waveform.size / SAMPLE_RATE < 0.95 * declared - 0.25:
        raise MediaError(
            "truncated", f"{path}: only {waveform.size / SAMPLE_RATE:.1f} of {declared:.1f} seconds are there"
        )
    return waveform


def cut_silence(waveform: Waveform) -> Waveform:
    """Keep what silero-vad takes for speech, with margins of 100 ms.

    Returns:
        [T'] float32 with T' <= T; empty if there is no speech.
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
    return np.concatenate([np.zeros(0, np.float32), *(waveform[span["start"] : span["end"]] for span in spans)])


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


def prepare_speech(waveform: NDArray[np.floating[Any]], voice_activity: VoiceActivity = "silero") -> Waveform:
    """From a decoded recording to the speech that is stored and that models hear.

    Args:
        waveform: [T] 16 kHz mono.
        voice_activity: `silero` cuts silence; `none` trusts that there is none.

    Returns:
        [T'] float32 in [-1, 1], at least half a second.

    Raises:
        MediaError: `not-finite`, `silent`, `no-speech` or `too-short`.
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
    if seconds < MIN_SPEECH_SECONDS:
        raise MediaError("too-short", f"{seconds:.2f} s of speech, at least {MIN_SPEECH_SECONDS} s needed")
    return even_loudness(speech)


def load_speech(
    path: str | Path, voice_activity: VoiceActivity = "silero", max_seconds: float = MAX_SECONDS
) -> Waveform:
    """`read_waveform`, then `prepare_speech`; every `MediaError` names the file."""
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
