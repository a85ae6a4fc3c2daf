"""The classic pipeline for one clip, as scripts around Speech2Face do it: the baseline for the speed of `data.videos`.

Each step is a process of ffmpeg or a pass over files: all frames are written to disk, faces are detected in every
frame, results are pickled. In its favour, downloads are free and nothing checks that the face is the speaker's or that
anybody speaks.
"""

from __future__ import annotations

import pickle
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data.faces.analyzer import FaceAnalyzer
from data.media.waveform import SAMPLE_RATE

OTHER_FEATURES = "other features"
"""The step that is not needed for a single face feature a clip: features of all faces but the first."""

STEPS = ("cut", "audio", "frames", "faces", "features", OTHER_FEATURES, "spectrogram")

_TIME_LIMIT = 300  # seconds for a process of ffmpeg
_WINDOW, _STRIDE, _FFT_LENGTH = 400, 160, 512  # Speech2Face: 25 ms every 10 ms
_COMPRESSION = 0.3


@dataclass(frozen=True)
class ClassicClip:
    """A clip to prepare: a part of a local video, in seconds."""

    source: Path
    start: float
    end: float


@dataclass
class ClassicSeconds:
    """Seconds by step, summed over clips."""

    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STEPS, 0.0))

    @contextmanager
    def measuring(self, step: str) -> Iterator[None]:
        """Add the duration of a `with` block to a step."""
        begin = time.perf_counter()
        yield
        self.seconds[step] += time.perf_counter() - begin


def prepare_classic(
    clip: ClassicClip,
    folder: Path,
    ffmpeg: str,
    analyzer: FaceAnalyzer,
    fps: float,
    spent: ClassicSeconds,
) -> int:
    """Prepare one clip into a folder.

    Args:
        clip: The clip.
        folder: Folder for clip.mp4, audio.wav, frames/, faces/, features.pickle and spectrogram.pickle.
        ffmpeg: Path of the ffmpeg program.
        analyzer: Face analyzer; its detector gets each frame, its face network each box, resized.
        fps: Frames a second that are extracted.
        spent: Durations of the steps are added to it.

    Returns:
        Number of faces in all frames.
    """
    for name in ("frames", "faces"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    with spent.measuring("cut"):
        span = ("-ss", f"{clip.start:.3f}", "-t", f"{clip.end - clip.start:.3f}")
        # Encoded again: a cut that copies packets begins at a keyframe, often seconds too early.
        encoders = ("-c:v", "libx264", "-preset", "veryfast", "-c:a", "aac")
        _run(ffmpeg, *span, "-i", str(clip.source), *encoders, str(folder / "clip.mp4"))
    with spent.measuring("audio"):
        sound = ("-vn", "-ac", "1", "-ar", str(SAMPLE_RATE))
        _run(ffmpeg, "-i", str(folder / "clip.mp4"), *sound, str(folder / "audio.wav"))
    with spent.measuring("frames"):
        pictures = ("-an", "-vf", f"fps={fps:g}", "-q:v", "2", str(folder / "frames" / "%05d.jpg"))
        _run(ffmpeg, "-i", str(folder / "clip.mp4"), *pictures)
    detector, recognizer = analyzer.detector, analyzer.recognizer
    assert detector is not None
    faces = []
    with spent.measuring("faces"):
        for path in sorted((folder / "frames").iterdir()):
            picture = Image.open(path).convert("RGB")
            for number, face in enumerate(detector.detect(np.asarray(picture))):
                x0, y0, x1, y1 = map(round, face.box)
                crop = picture.crop((x0, y0, x1, y1))
                crop.save(folder / "faces" / f"{path.stem}-{number}.jpg")
                faces.append(crop)
    side = recognizer.input_size
    features = []
    for number, crop in enumerate(faces):
        with spent.measuring(OTHER_FEATURES if number else "features"):
            pixels = np.asarray(crop.resize((side, side), Image.Resampling.BILINEAR))
            features.append(recognizer.embed(pixels[None])[0])
    with spent.measuring("features"):
        (folder / "features.pickle").write_bytes(pickle.dumps(features))
    with spent.measuring("spectrogram"):
        (folder / "spectrogram.pickle").write_bytes(pickle.dumps(_spectrogram(folder / "audio.wav")))
    return len(faces)


def _run(program: str, *arguments: str) -> None:
    command = [program, "-y", "-loglevel", "error", "-nostdin", *arguments]
    subprocess.run(command, check=True, timeout=_TIME_LIMIT)


def _spectrogram(path: Path) -> NDArray[np.float32]:
    """Short-time Fourier transform of a file [frames, 257, 2], real and imaginary part compressed by a power law."""
    import soundfile

    waveform, _ = soundfile.read(path, dtype="float32")
    frames = np.lib.stride_tricks.sliding_window_view(waveform, _WINDOW)[::_STRIDE]
    transform = np.fft.rfft(frames * np.hanning(_WINDOW), _FFT_LENGTH)
    parts = np.stack([transform.real, transform.imag], -1)
    return (np.sign(parts) * np.abs(parts) ** _COMPRESSION).astype(np.float32)
