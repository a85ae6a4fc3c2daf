"""How alike two pictures look (MS-SSIM, LPIPS where its weights are), and whether a picture shows a face."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from data.errors import ModelError
from data.faces.protocol import FaceDetector
from data.faces.registry import load_analyzer
from gan.perceptual import load_lpips

DETECTION_SIDE = 256
"""Drawings are enlarged to this side before the detector looks, pixels."""

# Wang et al. 2003: exponents of the five scales.
_MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_MS_SSIM_KERNEL = 11


class OptionalLpips:
    """LPIPS (AlexNet) where its weights are on this machine.

    Attributes:
        missing: Why it can't be computed and what to do; None where it can.
    """

    def __init__(self) -> None:
        self.missing: str | None = None
        try:
            self._network = load_lpips("alex")
        except ModelError as error:
            self.missing = str(error)

    @torch.no_grad()
    def __call__(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float | None:
        """Mean distance of two batches [N, S, S, 3]; None where the weights are missing."""
        if self.missing is not None:
            return None
        return float(torch.cat([self._network(a, b) for a, b in _pairs(first, second)]).mean())


def num_ms_ssim_scales(side: int) -> int:
    """How many of MS-SSIM's five scales fit: each halves the picture, the last must hold the 11-px window."""
    return max(n for n in range(1, 6) if n == 1 or side >= (_MS_SSIM_KERNEL - 1) * 2 ** (n - 1) + 1)


def ms_ssim(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Mean multi-scale SSIM (Wang et al. 2003) of two batches [N, S, S, 3], with as many scales as fit.

    The exponents of the scales that are used are scaled to sum to 1; compare only values of the same number
    of scales.
    """
    import piq

    weights = torch.tensor(_MS_SSIM_WEIGHTS[: num_ms_ssim_scales(first.shape[1])])
    weights = weights / weights.sum()
    values = [
        piq.multi_scale_ssim((a + 1) / 2, (b + 1) / 2, data_range=1.0, scale_weights=weights, reduction="none")
        for a, b in _pairs(first, second)
    ]
    return float(torch.cat(values).mean())


def _pairs(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [
        (_to_tensor(first[start : start + 32]), _to_tensor(second[start : start + 32]))
        for start in range(0, len(first), 32)
    ]


def _to_tensor(images: NDArray[np.uint8]) -> torch.Tensor:
    """[N, 3, S, S] float32 in [-1, 1]."""
    return torch.from_numpy(images.astype(np.float32)).permute(0, 3, 1, 2) / 127.5 - 1


def find_faces(images: NDArray[np.uint8], detector: FaceDetector | None = None) -> NDArray[np.bool_]:
    """Whether a face detector finds a face in each picture, enlarged to 256 px.

    Args:
        images: [N, S, S, 3] uint8.
        detector: dlib's HOG detector by default: strict, frontal, trained on photographs alone.

    Returns:
        [N].

    Raises:
        ModelError: If dlib is missing.
    """
    if detector is None:
        detector = load_analyzer("dlib").detector
        assert detector is not None
    size = (DETECTION_SIDE, DETECTION_SIDE)
    enlarged = (np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)) for image in images)
    return np.array([bool(detector.detect(image)) for image in enlarged], dtype=bool)
