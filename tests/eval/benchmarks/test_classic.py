from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from data.faces.alignment import ARCFACE_TEMPLATE, DLIB_REGION
from data.faces.analyzer import FaceAnalyzer
from data.faces.protocol import DetectedFace, FaceEncoderInfo
from data.personas.footage.videos import make_talking_video
from eval.benchmarks.classic import OTHER_FEATURES, STEPS, ClassicClip, ClassicSeconds, prepare_classic

imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")


class MiddleFace:
    """Sees a face in the middle of each picture."""

    def detect(self, image: NDArray[np.uint8]) -> list[DetectedFace]:
        height, width = image.shape[:2]
        box = (0.3 * width, 0.2 * height, 0.7 * width, 0.9 * height)
        return [DetectedFace(box, np.asarray(ARCFACE_TEMPLATE), 1.0)]


class MeanColour:
    info = FaceEncoderInfo("mean", "", 3, "")
    region = DLIB_REGION
    input_size = 32

    def embed(self, inputs: NDArray[np.uint8]) -> NDArray[np.float32]:
        return inputs.mean((1, 2)).astype(np.float32)


@pytest.mark.slow
def test_the_classic_pipeline_writes_every_step_to_files(tmp_path: Path) -> None:
    source = make_talking_video(tmp_path / "video.mp4", seconds=2.0)
    spent = ClassicSeconds()
    num_faces = prepare_classic(
        ClassicClip(source, 0.5, 1.5),
        tmp_path / "clip",
        imageio_ffmpeg.get_ffmpeg_exe(),
        FaceAnalyzer(MiddleFace(), MeanColour()),
        fps=10,
        spent=spent,
    )
    assert num_faces == len(list((tmp_path / "clip" / "frames").iterdir())) == 10
    names = {path.name for path in (tmp_path / "clip").iterdir()}
    assert names == {"clip.mp4", "audio.wav", "frames", "faces", "features.pickle", "spectrogram.pickle"}
    assert tuple(spent.seconds) == STEPS and all(seconds > 0 for seconds in spent.seconds.values())
    assert OTHER_FEATURES in spent.seconds
