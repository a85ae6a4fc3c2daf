"""Similarity of pictures (MS-SSIM, and LPIPS where its weights are installed), and detection of faces in them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from data.errors import ModelError
from data.faces.protocol import FaceDetector
from data.faces.registry import cached_analyzer
from gan.perceptual import load_lpips

DETECTION_SIDE = 256
"""Side in pixels to which pictures are enlarged for the detector."""

# Exponents of the five scales (Wang et al. 2003).
_MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_MS_SSIM_KERNEL = 11


class OptionalLpips:
    """LPIPS (AlexNet), or None for every pair where its weights are not on this machine.

    Attributes:
        missing: Why the weights are missing and where to get them; None where they are present.
    """

    def __init__(self) -> None:
        self.missing: str | None = None
        try:
            self._network = load_lpips("alex")
        except ModelError as error:
            self.missing = str(error)

    @torch.no_grad()
    def __call__(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float | None:
        """Mean distance of two batches [N, S, S, 3] uint8; None where the weights are missing."""
        if self.missing is not None:
            return None
        return float(torch.cat([self._network(a, b) for a, b in _pairs(first, second)]).mean())


def num_ms_ssim_scales(side: int) -> int:
    """Number of MS-SSIM's five scales that fit: each halves the side, the last must hold the 11-pixel window."""
    return max(n for n in range(1, 6) if n == 1 or side >= (_MS_SSIM_KERNEL - 1) * 2 ** (n - 1) + 1)


def ms_ssim(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Mean multi-scale SSIM (Wang et al. 2003) of two batches [N, S, S, 3] uint8, with as many scales as fit.

    The exponents of the scales used are normalised to sum to 1, so only values of the same number of scales compare.
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
    """Whether a detector finds a face in each picture, enlarged to `DETECTION_SIDE`.

    Args:
        images: [N, S, S, 3] uint8.
        detector: Any detector; dlib's HOG by default, which accepts frontal faces alone and was trained on
            photographs.

    Returns:
        [N] bool.

    Raises:
        ModelError: If dlib is missing.
    """
    if detector is None:
        detector = cached_analyzer("dlib", None).detector
        assert detector is not None
    size = (DETECTION_SIDE, DETECTION_SIDE)
    enlarged = (np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)) for image in images)
    return np.array([bool(detector.detect(image)) for image in enlarged], dtype=bool)
