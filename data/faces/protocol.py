"""Protocols of detectors and face networks, and their data types.

The training face network T makes a data set's features and is the identity loss; another network E judges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from data.faces.alignment import Region

Device = Literal["cpu", "cuda"]
"""Where ONNX face networks run."""


DEVICES: tuple[Device, ...] = ("cpu", "cuda")


Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels."""


@dataclass(frozen=True)
class DetectedFace:
    """One face found in a picture.

    Attributes:
        box: x0, y0, x1, y1 in pixels; may leave the picture.
        landmarks: [5, 2] (x, y) in pixels, in the order of `ARCFACE_TEMPLATE`.
        score: Confidence of the detector, on its own scale.
    """

    box: Box
    landmarks: NDArray[np.float64]
    score: float

    @property
    def area(self) -> float:
        """Area of the box in square pixels."""
        return max(0.0, self.box[2] - self.box[0]) * max(0.0, self.box[3] - self.box[1])

    @property
    def side(self) -> float:
        """Longer side of the box in pixels."""
        return max(self.box[2] - self.box[0], self.box[3] - self.box[1])

    @property
    def centre(self) -> tuple[float, float]:
        """(x, y) of the box's centre in pixels."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2

    def to_picture(self, x: float, y: float, scale: float = 1.0) -> DetectedFace:
        """Convert a face from the coordinates of a window to those of the picture.

        Args:
            x: x of the window's left edge in the picture.
            y: y of its upper edge.
            scale: Pixels of the picture for each pixel of the window.
        """
        x0, y0, x1, y1 = self.box
        box = (scale * x0 + x, scale * y0 + y, scale * x1 + x, scale * y1 + y)
        return DetectedFace(box, scale * self.landmarks + (x, y), self.score)


@dataclass(frozen=True)
class FaceEncoderInfo:
    """Name and hash of a face network.

    Attributes:
        name: Name for `load_recognizer`, such as `insightface:small/mobilefacenet` or `dlib`.
        sha256: Hash of the file of weights; equal hashes mean the same network.
        feature_size: Length of a feature.
        path: Path of the file when it was read; it may be absent on another machine.
    """

    name: str
    sha256: str
    feature_size: int
    path: str


class FaceDetector(Protocol):
    """Detector: finds faces in a picture."""

    def detect(self, image: NDArray[np.uint8]) -> list[DetectedFace]:
        """All faces in a picture [H, W, 3] uint8 RGB, in no particular order."""
        ...

    def detect_near(self, image: NDArray[np.uint8], box: Box) -> list[DetectedFace]:
        """Faces near the box of a face in the previous frame; others may be missing."""
        ...


class FaceRecognizer(Protocol):
    """Face network: turns aligned faces into face features.

    Attributes:
        info: Name and hash of the network.
        region: Area of its input, in template units.
        input_size: Side of its input in pixels.
    """

    info: FaceEncoderInfo
    region: Region
    input_size: int

    def embed(self, inputs: NDArray[np.uint8]) -> NDArray[np.float32]:
        """[N, D] unit vectors from [N, input_size, input_size, 3] uint8 RGB already cut to `region`."""
        ...


def unit_rows(features: NDArray[np.floating]) -> NDArray[np.float32]:
    """Normalize the rows of [N, D] to unit length."""
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    return (features / np.maximum(norms, 1e-12)).astype(np.float32)
