"""insightface packs: SCRFD detection and ArcFace features.

The code is MIT; the published weights are for non-commercial research only. The pack's folder is checked
before insightface sees it, because insightface downloads what it does not find.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import ModelError
from data.faces.alignment import ARCFACE_REGION
from data.faces.protocol import Box, DetectedFace, FaceEncoderInfo, unit_rows
from data.faces.windows import cut_window, limit_pixels
from data.files import sha256_of_file

_BORDER = 40  # px; a face that fills the picture is found more reliably with a border
_MIN_SCORE = 0.5
_DETECTOR_SIZES = ((400, 320), (None, 640))  # pictures up to 400 px are detected at 320 px, others at 640
_MAX_PIXELS = 64_000_000  # with the border; only very thin pictures exceed it
_STRIDE = 32  # of the coarsest map of SCRFD: sides of its input are multiples of it
_NEAR_SIZE = 192  # px of a window's input: 12 ms, against 95 ms for a whole picture


def pack_files(pack: str, root: str | Path | None) -> list[Path]:
    """The ONNX files of a pack.

    Raises:
        ModelError: If the folder is missing or holds none; says where it belongs and how to get one.
    """
    folder = (Path(root) if root is not None else Path.home() / ".insightface").expanduser() / "models" / pack
    # macOS puts a file `._x` beside each file x on foreign file systems and in archives.
    files = sorted(path for path in folder.glob("*.onnx") if not path.name.startswith("."))
    if not files:
        state = "holds no .onnx file" if folder.is_dir() else "does not exist"
        raise ModelError(
            f"insightface pack '{pack}': {folder} {state}; unpack the .onnx files of a pack there "
            "(such as buffalo_l.zip from github.com/deepinsight/insightface/releases, for non-commercial "
            "research only), or name another insightface root"
        )
    return files


class ArcFaceRecognizer:
    """ArcFace network in an ONNX file, run by insightface."""

    region = ARCFACE_REGION

    def __init__(self, name: str, path: Path, session: Any, hint: str | None = None) -> None:
        """Wrap an open network.

        Args:
            name: Name for `load_recognizer`.
            path: File of the network.
            session: Session from `open_network`.
            hint: Path to store with features; None for the absolute path of the file.

        Raises:
            ModelError: If it is no recognition network.
        """
        from insightface.model_zoo.arcface_onnx import ArcFaceONNX

        if not _is_recognizer(session):
            raise ModelError(f"{path}: not a face recognition network (one square picture in, one feature out)")
        self._network = ArcFaceONNX(model_file=str(path), session=session)
        self._path = path
        self.input_size: int = self._network.input_size[0]
        self._batch_size = self._largest_batch()
        self.info = FaceEncoderInfo(
            name=name,
            sha256=sha256_of_file(path),
            feature_size=int(session.get_outputs()[0].shape[-1]),
            path=str(path.resolve()) if hint is None else hint,
        )

    def embed(self, inputs: NDArray[np.uint8]) -> NDArray[np.float32]:
        """[N, D] unit vectors from [N, input_size, input_size, 3] uint8 RGB."""
        assert inputs.shape[1:] == (self.input_size, self.input_size, 3), inputs.shape
        features = [np.zeros((0, self.info.feature_size), np.float32)]
        for start in range(0, len(inputs), self._batch_size):
            batch = inputs[start : start + self._batch_size]
            # get_feat wants OpenCV's BGR and swaps it back.
            output = self._network.get_feat([np.ascontiguousarray(image[..., ::-1]) for image in batch])
            if output.shape != (len(batch), self.info.feature_size):
                raise ModelError(
                    f"{self._path}: gives {output.shape} for {len(batch)} faces, "
                    f"{(len(batch), self.info.feature_size)} expected"
                )
            features.append(unit_rows(output))
        return np.concatenate(features)

    def _largest_batch(self) -> int:
        """Largest batch: 1 for networks exported with a fixed batch of one, else 16."""
        two = [np.zeros((self.input_size, self.input_size, 3), np.uint8)] * 2
        try:
            return 16 if len(self._network.get_feat(two)) == 2 else 1
        except Exception:  # onnxruntime's exceptions share no public base
            return 1


class ScrfdDetector:
    """SCRFD detector with five landmarks."""

    def __init__(self, path: Path, session: Any) -> None:
        from insightface.model_zoo.scrfd import SCRFD

        self._network = SCRFD(model_file=str(path), session=session)
        self._network.prepare(0, det_thresh=_MIN_SCORE)

    def detect(self, image: NDArray[np.uint8]) -> list[DetectedFace]:
        """All faces in [H, W, 3] uint8 RGB; if none is found, a second search adds a border."""
        longest = max(image.shape[:2])
        size = next(size for limit, size in _DETECTOR_SIZES if limit is None or longest <= limit)
        return self._detect(image, 0, size) or self._detect(image, _BORDER, size)

    def detect_near(self, image: NDArray[np.uint8], box: Box) -> list[DetectedFace]:
        """Faces in [H, W, 3] uint8 RGB near the box of the previous frame; far faster than `detect`."""
        window, left, top = cut_window(image, box)
        return [face.to_picture(left, top) for face in self._detect(window, 0, _NEAR_SIZE)]

    def _detect(self, image: NDArray[np.uint8], border: int, size: int) -> list[DetectedFace]:
        seen, reduction = limit_pixels(image, _MAX_PIXELS, border)
        picture = np.pad(seen[..., ::-1], ((border, border), (border, border), (0, 0)))
        height, width = picture.shape[:2]
        scale = size / max(height, width)
        if min(height, width) * scale < 1:  # a thin picture would have no pixels left
            return []
        # The input is not square: padding would only cost time.
        input_width, input_height = (max(1, -(-round(side * scale) // _STRIDE)) * _STRIDE for side in (width, height))
        boxes, landmarks = self._network.detect(np.ascontiguousarray(picture), input_size=(input_width, input_height))
        return [
            DetectedFace(
                box=(box[0] - border, box[1] - border, box[2] - border, box[3] - border),
                landmarks=points.astype(np.float64) - border,
                score=float(box[4]),
            ).to_picture(0, 0, reduction)
            for box, points in zip(boxes.astype(float), landmarks, strict=True)
        ]


def load_arcface(name: str, root: str | Path | None, providers: Sequence[str]) -> ArcFaceRecognizer:
    """The recognizer of a pack; `name` is `<pack>` or `<pack>/<file without .onnx>`.

    Raises:
        ModelError: If the pack, the file, a recognizer in it, or the package is missing.
    """
    pack, _, stem = name.partition("/")
    for path in pack_files(pack, root):
        if not stem or path.stem == stem:
            session = open_network(path, providers)
            if _is_recognizer(session):
                return ArcFaceRecognizer(f"insightface:{pack}/{path.stem}", path, session)
    raise ModelError(f"insightface pack '{pack}': no recognition network{f' {stem}.onnx' if stem else ''} in it")


def load_scrfd(name: str, root: str | Path | None, providers: Sequence[str]) -> ScrfdDetector:
    """The detector with key points of a pack.

    Raises:
        ModelError: If the pack, a detector in it, or the package is missing.
    """
    pack = name.partition("/")[0]
    for path in pack_files(pack, root):
        session = open_network(path, providers)
        # Boxes, scores and key points at three strides.
        if len(session.get_outputs()) >= 9:
            return ScrfdDetector(path, session)
    raise ModelError(
        f"insightface pack '{pack}': no detector with key points in it; "
        f"use aligned:insightface:{pack} for aligned crops"
    )


def _is_recognizer(session: Any) -> bool:
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1:
        return False
    shape = inputs[0].shape
    # By insightface's convention inputs of 192 px mean landmark networks, 96 px attributes, others from 112 px faces.
    return (
        len(shape) == 4 and shape[2] == shape[3] and isinstance(shape[2], int) and shape[2] >= 112 and shape[2] != 192
    )


def open_network(path: Path, providers: Sequence[str]) -> Any:
    """Open an onnxruntime session on the wanted provider.

    Raises:
        ModelError: If it can't be loaded or a provider was not granted, or a package is missing.
    """
    try:
        import insightface  # noqa: F401
        import onnxruntime
    except ImportError as error:
        raise ModelError(f"ONNX face networks need {error.name}: pip install 'wav2face[faces]'") from error

    missing = [name for name in providers if name not in onnxruntime.get_available_providers()]
    if missing:
        raise ModelError(
            f"onnxruntime has no {', '.join(missing)} here, only {', '.join(onnxruntime.get_available_providers())}"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # worker processes share the cores
    options.log_severity_level = 4  # errors are raised as well
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=list(providers))
    except Exception as error:  # onnxruntime's exceptions share no public base
        message = str(error).splitlines()[0]
        raise ModelError(f"{path}: onnxruntime can't load it: {message}") from error
    granted = session.get_providers()
    if granted[0] != providers[0]:
        raise ModelError(f"{path}: asked for {providers[0]}, onnxruntime fell back to {granted[0]}")
    return session
