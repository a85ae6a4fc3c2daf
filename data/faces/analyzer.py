"""Face analyzers: detection, alignment and face features of photographs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.errors import MediaError
from data.faces.alignment import (
    ARCFACE_REGION,
    ARCFACE_TEMPLATE,
    CROP_REGION,
    crop_region,
    extract_region,
    similarity_to_template,
)
from data.faces.protocol import DetectedFace, FaceDetector, FaceRecognizer

DOMINANT_AREA_RATIO = 2.0
"""Of several faces in a photograph the largest counts if its area is at least this many times the next's."""


_MAX_ENLARGEMENT = 2.2
"""Most pixels of a crop for each pixel of a photograph, along a side; more would be a blurred face to learn from."""

_BOX_SHARE = 44 / 64
"""Longer side of a face's box as a share of its crop's side: near that of ArcFace's square."""


@dataclass(frozen=True)
class AnalyzedFace:
    """Crop and feature of a face.

    Attributes:
        crop: [S, S, 3] uint8 RGB covering `CROP_REGION`.
        feature: [D] float32 unit feature of T.
    """

    crop: NDArray[np.uint8]
    feature: NDArray[np.float32]


@dataclass(frozen=True)
class FaceAnalyzer:
    """A detector and a face network.

    Attributes:
        detector: Detector; None if pictures are aligned crops that cover `CROP_REGION`.
        recognizer: Face network.
    """

    detector: FaceDetector | None
    recognizer: FaceRecognizer

    def find_faces(self, image: NDArray[np.uint8]) -> list[tuple[DetectedFace, NDArray[np.float64]]]:
        """All faces of a picture, each with its [2, 3] similarity to the template, the largest first."""
        if self.detector is None:
            return [_whole_picture(image)]
        faces = sorted(self.detector.detect(image), key=lambda face: -face.area)
        return [(face, similarity_to_template(face.landmarks)) for face in faces]

    def find_face(self, image: NDArray[np.uint8], face_size: int) -> NDArray[np.float64]:
        """The [2, 3] similarity to the template of the one person that a photograph shows.

        Args:
            image: [H, W, 3] uint8 RGB.
            face_size: Side of the crop that will be cut, in pixels.

        Raises:
            MediaError: `no-face`, `many-faces` (see `DOMINANT_AREA_RATIO`), `small-face`, `bad-landmarks` or,
                for aligned pictures, `not-square`.
        """
        try:
            found = self.find_faces(image)
        except ValueError as error:
            raise MediaError("bad-landmarks", str(error)) from error
        if not found:
            raise MediaError("no-face", "no face was found")
        face, to_template = found[0]
        if len(found) > 1 and face.area < DOMINANT_AREA_RATIO * found[1][0].area:
            raise MediaError("many-faces", f"{len(found)} faces were found and none of them dominates")
        if face.side < (needed := smallest_face(face_size)):
            raise MediaError(
                "small-face",
                f"the face is {face.side:.0f} px, at least {needed} needed for crops of {face_size} px",
            )
        if not fits_box(face, to_template):
            raise MediaError("bad-landmarks", "the landmarks don't fit the face's box")
        return to_template

    def analyze(self, image: NDArray[np.uint8], face_size: int) -> AnalyzedFace:
        """Crop and feature of the one person that a photograph [H, W, 3] uint8 RGB shows.

        T's input is cut out of the photograph at its own resolution, not out of the crop.

        Raises:
            MediaError: As `find_face`.
        """
        to_template = self.find_face(image, face_size)
        recognizer = self.recognizer
        face_input = extract_region(image, to_template, recognizer.region, recognizer.input_size)
        return AnalyzedFace(
            crop=extract_region(image, to_template, CROP_REGION, face_size),
            feature=recognizer.embed(face_input[None])[0],
        )


def smallest_face(face_size: int) -> int:
    """The smallest face that is accepted, in pixels of the longer side of its box: 20 for crops of 64 px, 80 for 256.

    Args:
        face_size: Side of the crops in pixels.
    """
    return round(_BOX_SHARE * face_size / _MAX_ENLARGEMENT)


def fits_box(face: DetectedFace, to_template: NDArray[np.float64]) -> bool:
    """Whether a face's landmarks fit its box; wrong ones would need a crop far beyond the picture."""
    scale = float(np.hypot(to_template[0, 0], to_template[1, 0]))
    return 0.5 * face.side < ARCFACE_REGION.side / scale < 4 * face.side


def _whole_picture(image: NDArray[np.uint8]) -> tuple[DetectedFace, NDArray[np.float64]]:
    """Box, landmarks and similarity of a picture that is an aligned crop already."""
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
        batch_size: Network inputs in memory at a time.

    Returns:
        [N, D] float32 unit vectors.
    """
    features = [np.zeros((0, recognizer.info.feature_size), np.float32)]
    for start in range(0, len(crops), batch_size):
        inputs = crop_region(crops[start : start + batch_size], recognizer.region, recognizer.input_size)
        features.append(recognizer.embed(inputs))
    return np.concatenate(features)
