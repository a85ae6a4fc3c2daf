"""Feature spaces for distances between sets of pictures: the judge's, and Inception's where its weights are present."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from data.errors import ModelError
from data.faces.analyzer import embed_crops
from data.faces.protocol import FaceRecognizer
from data.files import sha256_of_file

INCEPTION_FILE = "inception_v3_google-0cc3c7bd.pth"
_INCEPTION_DIGEST = "0cc3c7bd"
_INCEPTION_SIDE = 299


class ImageFeatures(Protocol):
    """A map from pictures to feature vectors.

    Attributes:
        name: Name of the feature space, for reports.
        size: Length of a vector.
        is_unit: Whether all vectors have length 1.
    """

    name: str
    size: int
    is_unit: bool

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """[N, D] from aligned faces [N, S, S, 3] uint8 RGB."""
        ...


class JudgeFeatures:
    """Features of the judge E: sensitive to identity and quality of a face, insensitive to backgrounds."""

    is_unit = True

    def __init__(self, judge: FaceRecognizer) -> None:
        self._judge = judge
        self.name = judge.info.name
        self.size = judge.info.feature_size

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """[N, D] unit vectors from [N, S, S, 3] uint8 RGB."""
        return embed_crops(self._judge, images).astype(np.float64)


class InceptionFeatures:
    """The 2,048 pooled features of torchvision's Inception v3.

    The weights are not those of the original FID (another training on ImageNet), so distances don't compare with
    published FIDs. The name of the feature space says so.

    Args:
        path: torchvision's weight file.
        device: Device to run on.

    Raises:
        ModelError: If the file is damaged or another one.
    """

    name = "inception-v3-torchvision"
    size = 2048
    is_unit = False

    def __init__(self, path: Path, device: str = "cpu") -> None:
        from torchvision.models import inception_v3

        if not sha256_of_file(path).startswith(_INCEPTION_DIGEST):
            raise ModelError(f"{path}: damaged or another file, its sha256 does not begin with {_INCEPTION_DIGEST}")
        network = inception_v3(weights=None, init_weights=False, transform_input=False)
        try:
            network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"{path}: not torchvision's Inception v3: {str(error).splitlines()[0]}") from error
        network.fc = nn.Identity()
        self._network = network.eval().requires_grad_(False).to(device)
        self._device = device

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """[N, 2048] from [N, S, S, 3] uint8 RGB."""
        features = [np.zeros((0, self.size))]
        for start in range(0, len(images), 16):
            resized = [resize_like_clean_fid(image, _INCEPTION_SIDE) for image in images[start : start + 16]]
            pixels = torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).to(self._device)
            with torch.no_grad():
                # torchvision's transform_input undoes ImageNet's normalisation: the network wants [-1, 1].
                features.append(self._network(pixels / 127.5 - 1).double().cpu().numpy())
        return np.concatenate(features)


def find_inception(path: str | None) -> Path | None:
    """The file of Inception's weights: the given one, else the one in torch.hub's folder, else None.

    Raises:
        ModelError: If a given file is missing.
    """
    if path is not None:
        if not Path(path).is_file():
            raise ModelError(f"--inception-weights {path}: no such file")
        return Path(path)
    cached = Path(torch.hub.get_dir()) / "checkpoints" / INCEPTION_FILE
    return cached if cached.is_file() else None


def resize_like_clean_fid(image: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """Resize as Parmar et al. 2022 recommend: bicubic, antialiased, each channel in float, without rounding.

    Args:
        image: [H, W, 3] uint8.
        side: Side of the result in pixels.

    Returns:
        [side, side, 3] float32 in [0, 255].
    """
    channels = [
        np.asarray(Image.fromarray(image[..., c].astype(np.float32)).resize((side, side), Image.Resampling.BICUBIC))
        for c in range(3)
    ]
    return np.clip(np.stack(channels, axis=2), 0, 255)
