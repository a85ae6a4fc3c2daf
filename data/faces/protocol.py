"""What every face detector and face network offers, and the values that they exchange."""

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

    def placed(self, x: float, y: float, scale: float = 1.0) -> DetectedFace:
        """A face found in a window, as it lies in the picture.

        Args:
            x: Of the window's left edge in the picture.
            y: Of its upper edge.
            scale: Pixels of the picture a pixel of the window.
        """
        x0, y0, x1, y1 = self.box
        box = (scale * x0 + x, scale * y0 + y, scale * x1 + x, scale * y1 + y)
        return DetectedFace(box, scale * self.landmarks + (x, y), self.score)


@dataclass(frozen=True)
class FaceEncoderInfo:
    """Which network made features.

    Attributes:
        name: What `load_recognizer` takes, such as `insightface:small/mobilefacenet` or `dlib`.
        sha256: Of the file of weights; it alone decides whether two networks are the same.
        feature_size: Length of a feature.
        path: Where the file was read from: a hint, may be absent on another machine.
    """

    name: str
    sha256: str
    feature_size: int
    path: str


class FaceDetector(Protocol):
    """Finds faces in a picture."""

    def detect(self, image: NDArray[np.uint8]) -> list[DetectedFace]:
        """All faces in a picture [H, W, 3] uint8 RGB, in no particular order."""
        ...

    def detect_near(self, image: NDArray[np.uint8], box: Box) -> list[DetectedFace]:
        """Faces around where one was in a similar picture a moment ago; others may be missing."""
        ...


class FaceRecognizer(Protocol):
    """Turns aligned faces into identity features.

    Attributes:
        info: Which network it is.
        region: What its input covers, in template units.
        input_size: Side of its input in pixels.
    """

    info: FaceEncoderInfo
    region: Region
    input_size: int

    def embed(self, inputs: NDArray[np.uint8]) -> NDArray[np.float32]:
        """[N, D] unit vectors from [N, input_size, input_size, 3] uint8 RGB already cut to `region`."""
        ...


def unit_rows(features: NDArray[np.floating]) -> NDArray[np.float32]:
    """Each row of [N, D] divided by its length."""
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    return (features / np.maximum(norms, 1e-12)).astype(np.float32)
