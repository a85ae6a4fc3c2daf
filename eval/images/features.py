"""Feature spaces for distances between sets of pictures: the judge's, and Inception's where its weights are present."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from data.errors import ModelError
from data.faces.analyzer import embed_crops
from data.faces.protocol import FaceRecognizer
from data.files import sha256_of_file

INCEPTION_FILE = "pt_inception-2015-12-05-6726825d.pth"
"""The network of the original FID (TensorFlow, 2015-12-05), as pytorch-fid published it for torch."""

INCEPTION_MISSING = (
    f"FID, KID, precision and recall in Inception's feature space were not measured: {INCEPTION_FILE} is not on this "
    "machine, and no weights are downloaded silently. Fetch it once from github.com/mseitzer/pytorch-fid/releases/"
    f"download/fid_weights/{INCEPTION_FILE} into torch.hub's folder of checkpoints, or name it with "
    "--inception-weights."
)
"""What a report says without the file."""

_INCEPTION_DIGEST = "6726825d"
_INCEPTION_SIDE = 299

Resizing = Literal["clean-fid", "legacy"]
"""How pictures are enlarged for Inception, and to which range."""


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
    """The 2,048 pooled features of the original FID's Inception v3.

    Distances compare with published ones of the same resizing:

    - `clean-fid`: bicubic, antialiased, in float (Parmar et al. 2022), then (x - 128) / 128, as clean-fid does.
    - `legacy`: torch's bilinear without antialiasing, then x / 127.5 - 1, as pytorch-fid does.

    Args:
        network: As from `load_inception`.
        resizing: Which of the two.
    """

    size = 2048
    is_unit = False

    def __init__(self, network: nn.Module, resizing: Resizing) -> None:
        self.name = f"inception-{resizing}"
        self._network = network
        self._resizing = resizing

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """[N, 2048] from [N, S, S, 3] uint8 RGB."""
        device = next(self._network.parameters()).device
        features = [np.zeros((0, self.size))]
        for start in range(0, len(images), 16):
            pixels = self._resize(images[start : start + 16]).to(device)
            with torch.no_grad():
                features.append(self._network(pixels).double().cpu().numpy())
        return np.concatenate(features)

    def _resize(self, images: NDArray[np.uint8]) -> torch.Tensor:
        """[N, 3, 299, 299] in about [-1, 1]."""
        if self._resizing == "clean-fid":
            resized = np.stack([resize_like_clean_fid(image, _INCEPTION_SIDE) for image in images])
            return (torch.from_numpy(resized).permute(0, 3, 1, 2) - 128) / 128
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
        side = (_INCEPTION_SIDE, _INCEPTION_SIDE)
        return 2 * nn.functional.interpolate(pixels, size=side, mode="bilinear", align_corners=False) - 1


def load_inception(path: Path, device: str = "cpu") -> nn.Module:
    """The original FID's Inception v3 with strictly loaded weights: [N, 2048] from [N, 3, 299, 299].

    It is torchvision's network with the blocks that piq has replaced, because piq itself would download the weights.

    Args:
        path: The file `INCEPTION_FILE`.
        device: Device to run on.

    Raises:
        ModelError: If the file is damaged or another one.
    """
    from piq.feature_extractors import fid_inception as blocks
    from torchvision.models import inception_v3

    if not sha256_of_file(path).startswith(_INCEPTION_DIGEST):
        raise ModelError(f"{path}: damaged or not {INCEPTION_FILE}, its sha256 does not begin with {_INCEPTION_DIGEST}")
    # Not initialised: every weight comes from the file.
    network = inception_v3(weights=None, init_weights=False, num_classes=1008, aux_logits=False, transform_input=False)
    network.Mixed_5b = blocks.FIDInceptionA(192, pool_features=32)
    network.Mixed_5c = blocks.FIDInceptionA(256, pool_features=64)
    network.Mixed_5d = blocks.FIDInceptionA(288, pool_features=64)
    network.Mixed_6b = blocks.FIDInceptionC(768, channels_7x7=128)
    network.Mixed_6c = blocks.FIDInceptionC(768, channels_7x7=160)
    network.Mixed_6d = blocks.FIDInceptionC(768, channels_7x7=160)
    network.Mixed_6e = blocks.FIDInceptionC(768, channels_7x7=192)
    network.Mixed_7b = blocks.FIDInceptionE1(1280)
    network.Mixed_7c = blocks.FIDInceptionE2(2048)
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (RuntimeError, ValueError, TypeError, pickle.UnpicklingError) as error:
        raise ModelError(f"{path}: not the weights of Inception v3: {str(error).splitlines()[0]}") from error
    network.fc = nn.Identity()
    return network.eval().requires_grad_(False).to(device)


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
        [side, side, 3] float32, which may leave [0, 255] a little at sharp edges, as clean-fid's do.
    """
    channels = [
        np.asarray(Image.fromarray(image[..., c].astype(np.float32)).resize((side, side), Image.Resampling.BICUBIC))
        for c in range(3)
    ]
    return np.stack(channels, axis=2)
