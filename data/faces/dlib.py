"""dlib: HOG or CNN detection, five points from the 68-point predictor, and the 128-d ResNet as face network.

The weights are in the package face_recognition_models and are read by path, because importing it needs pkg_resources.
"""

from __future__ import annotations

import functools
import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data.errors import ModelError
from data.faces.alignment import DLIB_REGION
from data.faces.protocol import Box, DetectedFace, FaceEncoderInfo, unit_rows
from data.faces.windows import cut_window, limit_pixels
from data.files import sha256_of_file
from data.workers import WorkerDiedError, WorkerPool

_RESNET = "dlib_face_recognition_resnet_model_v1.dat"
_PREDICTOR = "shape_predictor_68_face_landmarks.dat"
_CNN_DETECTOR = "mmod_human_face_detector.dat"
_BORDER = 40  # px, as for insightface
_MAX_PIXELS = {"hog": 16_000_000, "cnn": 1_500_000}  # the CNN needs 1 GB for each million
_UPSAMPLED_BELOW = 500  # px; smaller pictures are upsampled, because the HOG template is 80 px
_NEAR_SIDE = 100  # px; larger faces are found without upsampling
_MIN_PART = 8  # faces for a process; fewer are not worth its start and memory
_MAX_PROCESSES = 8  # of which each has its part in a batch of 64 faces


class DlibRecognizer:
    """The ResNet of dlib (King 2017); its 150-px face chip covers `DLIB_REGION`."""

    region = DLIB_REGION
    input_size = 150

    def __init__(self, num_processes: int = 1) -> None:
        """Load the weights.

        Args:
            num_processes: Processes among which many faces are divided, at most 8; dlib computes on one core. With more
                than one, a script needs `if __name__ == "__main__"` around what it runs.

        Raises:
            ModelError: If a package is missing.
        """
        self._network, path = _load_resnet()
        self._num_processes = min(num_processes, _MAX_PROCESSES)
        self._pool = WorkerPool(self._num_processes)
        self.info = FaceEncoderInfo("dlib", sha256_of_file(path), 128, str(path))

    def embed(self, inputs: NDArray[np.uint8]) -> NDArray[np.float32]:
        """[N, 128] unit vectors from [N, 150, 150, 3] uint8 RGB.

        Raises:
            ModelError: If a process dies.
        """
        assert inputs.shape[1:] == (150, 150, 3), inputs.shape
        num_parts = min(self._num_processes, len(inputs) // _MIN_PART)
        if num_parts < 2:
            return _embed(self._network, inputs)
        futures = [self._pool.submit(_embed_in_process, part) for part in np.array_split(inputs, num_parts)]
        try:
            return np.concatenate([future.result() for future in futures])
        except WorkerDiedError as error:
            raise ModelError(f"dlib: {error}; is there memory left?") from error


class DlibDetector:
    """Faces by HOG (frontal, fast) or CNN, with five points from the 68-point predictor.

    Both find faces of at least about 80 px. Larger pictures are reduced to 1.5 million pixels for the CNN, to 16
    million for HOG; the points are always found at full resolution.
    """

    def __init__(self, kind: Literal["hog", "cnn"] = "hog") -> None:
        dlib, predictor = _load(_PREDICTOR)
        self._predictor = dlib.shape_predictor(str(predictor))
        self._find: Any = (
            dlib.get_frontal_face_detector()
            if kind == "hog"
            else dlib.cnn_face_detection_model_v1(str(_load(_CNN_DETECTOR)[1]))
        )
        self._kind = kind

    def detect(self, image: NDArray[np.uint8]) -> list[DetectedFace]:
        """All faces in [H, W, 3] uint8 RGB; if none is found, a second search adds a border."""
        return self._detect(image, 0) or self._detect(image, _BORDER)

    def detect_near(self, image: NDArray[np.uint8], box: Box) -> list[DetectedFace]:
        """Faces in [H, W, 3] uint8 RGB near the box of the previous frame; faster than `detect`."""
        window, left, top = cut_window(image, box)
        side = max(box[2] - box[0], box[3] - box[1])
        reduction = max(1, int(side / _NEAR_SIDE))
        if reduction > 1:
            height, width = (length // reduction for length in window.shape[:2])
            window = np.asarray(Image.fromarray(window).resize((width, height), Image.Resampling.BOX))
        found = self._detect(window, 0, upsample=int(side < _NEAR_SIDE))
        return [face.to_picture(left, top, reduction) for face in found]

    def find_all_points(self, image: NDArray[np.uint8]) -> NDArray[np.float64] | None:
        """iBUG's 68 landmarks [68, 2] (x, y) of the largest face in [H, W, 3] uint8 RGB; None if no face is found."""
        import dlib

        faces = self.detect(image)
        if not faces:
            return None
        box = dlib.rectangle(*(round(side) for side in max(faces, key=lambda face: face.area).box))
        return self._predict(np.ascontiguousarray(image), box)

    def _detect(self, image: NDArray[np.uint8], border: int, upsample: int | None = None) -> list[DetectedFace]:
        seen, scale = limit_pixels(image, _MAX_PIXELS[self._kind], border)
        picture = np.ascontiguousarray(np.pad(seen, ((border, border), (border, border), (0, 0)), mode="edge"))
        if upsample is None:
            upsample = int(max(picture.shape[:2]) < _UPSAMPLED_BELOW)
        if self._kind == "hog":
            boxes, scores, _ = self._find.run(picture, upsample, 0.0)
            found = list(zip(boxes, scores, strict=True))
        else:
            found = [(face.rect, face.confidence) for face in self._find(picture, upsample)]
        faces = []
        for box, score in found:
            corners = (box.left() - border, box.top() - border, box.right() - border, box.bottom() - border)
            face = DetectedFace(corners, self._find_points(picture, box) - border, float(score))
            faces.append(face if scale == 1 else self._refine(image, face.to_picture(0, 0, scale)))
        return faces

    def _refine(self, image: NDArray[np.uint8], face: DetectedFace) -> DetectedFace:
        """Find the points of a face at full resolution; it was detected in a reduced picture."""
        import dlib

        window, left, top = cut_window(image, face.box)
        x0, y0, x1, y1 = (round(side) for side in face.box)
        points = self._find_points(
            np.ascontiguousarray(window), dlib.rectangle(x0 - left, y0 - top, x1 - left, y1 - top)
        )
        return replace(face, landmarks=points + np.array([left, top]))

    def _find_points(self, picture: NDArray[np.uint8], box: Any) -> NDArray[np.float64]:
        """Landmarks [5, 2] (x, y) of a face in dlib's box, in the order of `ARCFACE_TEMPLATE`."""
        points = self._predict(picture, box)
        # iBUG's 68 points: eyes 36..41 and 42..47, nose tip 30, mouth corners 48 and 54.
        return np.stack([points[36:42].mean(0), points[42:48].mean(0), points[30], points[48], points[54]])

    def _predict(self, picture: NDArray[np.uint8], box: Any) -> NDArray[np.float64]:
        """[68, 2] (x, y) of a face in dlib's box."""
        return np.array([(p.x, p.y) for p in self._predictor(picture, box).parts()], np.float64)


def _embed(network: Any, inputs: NDArray[np.uint8]) -> NDArray[np.float32]:
    if not len(inputs):
        return np.zeros((0, 128), np.float32)
    return unit_rows(np.array(network.compute_face_descriptor([np.ascontiguousarray(image) for image in inputs])))


@functools.cache
def _own_resnet() -> Any:
    """The network of a process that computes for a `DlibRecognizer`."""
    return _load_resnet()[0]


def _embed_in_process(inputs: NDArray[np.uint8]) -> NDArray[np.float32]:
    return _embed(_own_resnet(), inputs)


def _load_resnet() -> tuple[Any, Path]:
    """The network and the path of its weights."""
    dlib, path = _load(_RESNET)
    return dlib.face_recognition_model_v1(str(path)), path


def _load(name: str) -> tuple[Any, Path]:
    """The dlib module and the path of a file of face_recognition_models.

    Raises:
        ModelError: If either is missing.
    """
    try:
        import dlib
    except ImportError as error:
        raise ModelError("dlib is not installed: pip install 'wav2face[dlib]'") from error
    spec = importlib.util.find_spec("face_recognition_models")
    if spec is None or spec.origin is None:
        raise ModelError("face_recognition_models is not installed: pip install 'wav2face[dlib]'")
    path = Path(spec.origin).parent / "models" / name
    if not path.is_file():
        raise ModelError(f"{path} is missing: pip install --force-reinstall face_recognition_models")
    return dlib, path
