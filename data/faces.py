"""Finding faces, aligning them and turning them into identity features, behind one small protocol.

The training network T makes a data set's features and serves as identity loss, another network E judges; both
are `FaceRecognizer`s. Nothing is ever downloaded here: a missing file is a `ModelError` that says where it
belongs.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from data.alignment import (
    ARCFACE_REGION,
    ARCFACE_TEMPLATE,
    CROP_REGION,
    Region,
    crop_region,
    extract_region,
    similarity_to_template,
)
from data.errors import ConfigError, MediaError, ModelError

DOMINANT_AREA_RATIO = 2.0
"""Of several faces in a photograph the largest counts if its area is at least this many times the next's."""

Device = Literal["cpu", "cuda"]
"""Where ONNX face networks run."""

DEVICES: tuple[Device, ...] = ("cpu", "cuda")
_PROVIDERS: dict[Device, tuple[str, ...]] = {"cpu": ("CPUExecutionProvider",), "cuda": ("CUDAExecutionProvider",)}

MIN_FACE_PIXELS = 20
"""Faces whose box is smaller than this on its longer side are refused."""


Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels."""

_WINDOW = 3.0  # side of a window around a face that moves, in sides of its box

_SAME_PERSON = {
    # By sha256 of the weights. Pairs of single photographs of other people above it, and of one person's below it; in
    # brackets below it when each side is the mean of two photographs. Photographs: LFW, 610 people; personas, 406.
    "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30": 0.97,  # dlib: 0 of 2.8 M, 88 % (23 %)
    "e72a5710cce378dc46472b6b845cb90647634f2738d8c3e581735cf195b9866f": 0.6,  # MobileFaceNet: 0 of 2.5 M, 30 % (3 %)
    "c88c153c415e02a10e2116522e7d12fdb4ad47c5fb8e5a4707e7be3d8a857af1": 0.92,  # personas: 0 of 3.0 M, 81 %
}


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


@dataclass(frozen=True)
class AnalyzedFace:
    """A face as it is stored: [S, S, 3] uint8 RGB covering `CROP_REGION`, and T's unit feature [D]."""

    crop: NDArray[np.uint8]
    feature: NDArray[np.float32]


@dataclass(frozen=True)
class FaceAnalyzer:
    """A detector and a recognizer; without a detector a picture *is* a crop covering `CROP_REGION`."""

    detector: FaceDetector | None
    recognizer: FaceRecognizer

    def analyze(self, image: NDArray[np.uint8]) -> list[tuple[DetectedFace, NDArray[np.float64]]]:
        """Every face of a picture with its [2, 3] similarity to the template, the largest first."""
        if self.detector is None:
            return [_whole_picture(image)]
        faces = sorted(self.detector.detect(image), key=lambda face: -face.area)
        return [(face, similarity_to_template(face.landmarks)) for face in faces]

    def find_face(self, image: NDArray[np.uint8]) -> NDArray[np.float64]:
        """The [2, 3] similarity to the template of the one person that a photograph shows.

        Raises:
            MediaError: `no-face`, `many-faces` (see `DOMINANT_AREA_RATIO`), `small-face`, `bad-landmarks` or,
                for aligned pictures, `not-square`.
        """
        try:
            found = self.analyze(image)
        except ValueError as error:
            raise MediaError("bad-landmarks", str(error)) from error
        if not found:
            raise MediaError("no-face", "no face was found")
        face, to_template = found[0]
        if len(found) > 1 and face.area < DOMINANT_AREA_RATIO * found[1][0].area:
            raise MediaError("many-faces", f"{len(found)} faces were found and none of them dominates")
        if face.side < MIN_FACE_PIXELS:
            raise MediaError("small-face", f"the face is {face.side:.0f} px, at least {MIN_FACE_PIXELS} needed")
        if not fits_box(face, to_template):
            raise MediaError("bad-landmarks", "the landmarks don't fit the face's box")
        return to_template

    def describe(self, image: NDArray[np.uint8], face_size: int) -> AnalyzedFace:
        """Crop and feature of the one person that a photograph [H, W, 3] uint8 RGB shows.

        T's input is cut out of the photograph at its own resolution, not out of the crop.

        Raises:
            MediaError: As `find_face`.
        """
        to_template = self.find_face(image)
        recognizer = self.recognizer
        face_input = extract_region(image, to_template, recognizer.region, recognizer.input_size)
        return AnalyzedFace(
            crop=extract_region(image, to_template, CROP_REGION, face_size),
            feature=recognizer.embed(face_input[None])[0],
        )


def fits_box(face: DetectedFace, to_template: NDArray[np.float64]) -> bool:
    """Whether a face's landmarks fit its box; absurd ones would ask for a crop far beyond the picture."""
    scale = float(np.hypot(to_template[0, 0], to_template[1, 0]))
    return 0.5 * face.side < ARCFACE_REGION.side / scale < 4 * face.side


def cut_window(image: NDArray[np.uint8], box: Box) -> tuple[NDArray[np.uint8], int, int]:
    """What of a picture [H, W, 3] lies around a box, and the (x, y) of its left upper corner."""
    half = 0.5 * _WINDOW * max(box[2] - box[0], box[3] - box[1])
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    left, top = max(0, int(x - half)), max(0, int(y - half))
    return image[top : max(top + 1, int(y + half)), left : max(left + 1, int(x + half))], left, top


def _whole_picture(image: NDArray[np.uint8]) -> tuple[DetectedFace, NDArray[np.float64]]:
    """The face of a picture that is an aligned crop already."""
    height, width = image.shape[:2]
    if height != width:
        raise MediaError("not-square", f"an aligned crop must be square, this one is {width} x {height}")
    scale = CROP_REGION.side / width
    landmarks = (ARCFACE_TEMPLATE - (CROP_REGION.left, CROP_REGION.top)) / scale
    face = DetectedFace((0.0, 0.0, float(width), float(height)), landmarks, 1.0)
    return face, np.array([[scale, 0, CROP_REGION.left], [0, scale, CROP_REGION.top]])


def embed_crops(recognizer: FaceRecognizer, crops: NDArray[np.uint8], batch_size: int = 64) -> NDArray[np.float32]:
    """Features of stored crops or drawings.

    Args:
        recognizer: T or E.
        crops: [N, S, S, 3] uint8 RGB, each covering `CROP_REGION`.
        batch_size: How many are held as network inputs at once.

    Returns:
        [N, D] float32 unit vectors.
    """
    features = [np.zeros((0, recognizer.info.feature_size), np.float32)]
    for start in range(0, len(crops), batch_size):
        inputs = crop_region(crops[start : start + batch_size], recognizer.region, recognizer.input_size)
        features.append(recognizer.embed(inputs))
    return np.concatenate(features)


def load_recognizer(
    name: str, root: str | Path | None = None, providers: Sequence[str] = ("CPUExecutionProvider",)
) -> FaceRecognizer:
    """Load a face network by name.

    Args:
        name: `insightface:<pack>`, `insightface:<pack>/<file without .onnx>`, `dlib`, `onnx:<path>` or the folder of a
            trained face encoder, `personas` or `personas-judge` (the networks that ship).
        root: The insightface root, which holds `models/<pack>/`; None for `~/.insightface`.
        providers: Execution providers of onnxruntime, the wanted one first; not getting it is an error.

    Raises:
        ConfigError: If the name is unknown.
        ModelError: If a file or a package is missing, or a provider was not granted.
    """
    kind, _, rest = name.partition(":")
    if kind == "insightface" and rest:
        from data.faces_insightface import load_arcface

        return load_arcface(rest, root, providers)
    if name == "dlib":
        from data.faces_dlib import DlibRecognizer

        return DlibRecognizer()
    from data.faces_onnx import is_onnx_name, load_onnx

    if is_onnx_name(name):
        return load_onnx(name, providers)
    raise ConfigError(
        f"unknown face network '{name}': use insightface:<pack>, dlib, personas, personas-judge, onnx:<path>, or the "
        "folder of a trained face encoder"
    )


@functools.cache
def cached_recognizer(name: str, root: str | None, device: Device = "cpu") -> FaceRecognizer:
    """`load_recognizer`, once a process: for workers that get a task after the other."""
    return load_recognizer(name, root, _providers(name, device))


@functools.cache
def cached_analyzer(name: str, root: str | None, device: Device = "cpu") -> FaceAnalyzer:
    """`load_analyzer`, once a process."""
    return load_analyzer(name, root, _providers(name, device))


def _providers(name: str, device: Device) -> tuple[str, ...]:
    """onnxruntime's names for a device.

    Raises:
        ConfigError: If the network would silently stay on the CPU.
    """
    if device == "cuda" and name.removeprefix("aligned:").startswith("dlib"):
        raise ConfigError(f"--device cuda: {name} runs on the CPU here; use an ONNX network such as insightface:<pack>")
    return _PROVIDERS[device]


def load_analyzer(
    name: str, root: str | Path | None = None, providers: Sequence[str] = ("CPUExecutionProvider",)
) -> FaceAnalyzer:
    """Load a detector and a recognizer by name.

    Args:
        name: `insightface:<pack>`, `dlib` (HOG detector), `dlib:cnn`, or `aligned:<recognizer>`.
        root: As `load_recognizer`.
        providers: As `load_recognizer`.

    Raises:
        ConfigError: If the name is unknown.
        ModelError: If a file or a package is missing, or a provider was not granted.
    """
    kind, _, rest = name.partition(":")
    if kind == "aligned" and rest:
        return FaceAnalyzer(None, load_recognizer(rest, root, providers))
    if kind == "insightface" and rest:
        from data.faces_insightface import load_scrfd

        return FaceAnalyzer(load_scrfd(rest, root, providers), load_recognizer(name, root, providers))
    if name in ("dlib", "dlib:hog", "dlib:cnn"):
        from data.faces_dlib import DlibDetector

        return FaceAnalyzer(DlibDetector("cnn" if rest == "cnn" else "hog"), load_recognizer("dlib"))
    raise ConfigError(
        f"unknown face analyzer '{name}': use insightface:<pack>, dlib, dlib:cnn, or aligned:<face network>"
    )


def same_person_threshold(info: FaceEncoderInfo) -> float | None:
    """The cosine from which two faces are taken for one person's; strict, because links of many faces add up.

    Returns:
        None for a network of which nobody measured it; see `_SAME_PERSON`.
    """
    return _SAME_PERSON.get(info.sha256)


def sha256_of_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes.

    Raises:
        ModelError: If it can't be read.
    """
    digest = hashlib.sha256()
    try:
        with Path(path).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}") from error
    return digest.hexdigest()


def unit_rows(features: NDArray[np.floating]) -> NDArray[np.float32]:
    """Each row of [N, D] divided by its length."""
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    return (features / np.maximum(norms, 1e-12)).astype(np.float32)
