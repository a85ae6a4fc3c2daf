"""The plain way to prepare a clip, as scripts around Speech2Face do it: the baseline that `data.videos` is measured by.

A process of ffmpeg a step, all frames through files, faces looked for on every one of them, a pickle a result. It is
written as people write it who are in no hurry, but not worse; its downloads cost nothing, and it may do without a
check whether the face is the speaker's and whether anybody speaks.
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
"""The stage that those leave out who describe one face a clip."""

STAGES = ("cut", "audio", "frames", "faces", "features", OTHER_FEATURES, "spectrogram")

_STEP_SECONDS = 300
_WINDOW, _STRIDE, _FFT_LENGTH = 400, 160, 512  # Speech2Face: 25 ms every 10 ms
_COMPRESSION = 0.3


@dataclass(frozen=True)
class ClassicClip:
    """A clip to prepare: seconds of a video that lies on the disk."""

    source: Path
    start: float
    end: float


@dataclass
class ClassicSeconds:
    """Seconds by stage, summed over clips."""

    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))

    @contextmanager
    def measuring(self, stage: str) -> Iterator[None]:
        """Add what the block takes to a stage."""
        begin = time.perf_counter()
        yield
        self.seconds[stage] += time.perf_counter() - begin


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
        clip: Which.
        folder: Gets clip.mp4, audio.wav, frames/, faces/, features.pickle and spectrogram.pickle.
        ffmpeg: The program.
        analyzer: Its detector looks at each frame, its recognizer at each box, resized.
        fps: Frames a second that are written to files.
        spent: Gets the seconds.

    Returns:
        How many faces were found on all frames.
    """
    for name in ("frames", "faces"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    with spent.measuring("cut"):
        span = ("-ss", f"{clip.start:.3f}", "-t", f"{clip.end - clip.start:.3f}")
        # Not by copying packets: such a cut begins at a keyframe, often seconds too early.
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
    subprocess.run(command, check=True, timeout=_STEP_SECONDS)


def _spectrogram(path: Path) -> NDArray[np.float32]:
    """[frames, 257, 2]: the short-time Fourier transform of a file, real and imaginary part compressed."""
    import soundfile

    waveform, _ = soundfile.read(path, dtype="float32")
    frames = np.lib.stride_tricks.sliding_window_view(waveform, _WINDOW)[::_STRIDE]
    transform = np.fft.rfft(frames * np.hanning(_WINDOW), _FFT_LENGTH)
    parts = np.stack([transform.real, transform.imag], -1)
    return (np.sign(parts) * np.abs(parts) ** _COMPRESSION).astype(np.float32)
