"""Perceptual distance of images: LPIPS, or the feature maps of the face network T."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from data.errors import ModelError
from data.files import sha256_of_file

LpipsNet = Literal["alex", "vgg"]

# torchvision's ImageNet weights, as LPIPS' authors used them; the name carries the start of the sha256.
_TRUNKS: dict[LpipsNet, tuple[str, str]] = {
    "alex": ("alexnet-owt-7be5be79.pth", "alexnet"),
    "vgg": ("vgg16-397923af.pth", "vgg16"),
}


def normalised_map_distance(maps: list[Tensor], other_maps: list[Tensor]) -> Tensor:
    """Squared distance of feature maps, normalised over channels, mean over positions, sum over maps.

    LPIPS (Zhang et al. 2018, eq. 1) with all weights 1.

    Args:
        maps: [N, C, h, w] each.
        other_maps: Maps of the same shapes.

    Returns:
        [N] float32, each in [0, 4 * number of maps].
    """
    distance = torch.zeros(maps[0].shape[0], device=maps[0].device)
    for a, b in zip(maps, other_maps, strict=True):
        difference = nn.functional.normalize(a.float(), dim=1) - nn.functional.normalize(b.float(), dim=1)
        distance = distance + difference.square().sum(1).mean((1, 2))
    return distance


class Lpips(nn.Module):
    """LPIPS with a check of its input range; frozen, differentiable with respect to both images.

    Args:
        distance: Network of the lpips package.
    """

    def __init__(self, distance: nn.Module) -> None:
        super().__init__()
        self.distance = distance.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Lpips:
        """Keep evaluation mode."""
        return super().train(False)

    def forward(self, images: Tensor, other_images: Tensor) -> Tensor:
        """Distance of each pair.

        Args:
            images: [N, 3, H, W] in [-1, 1]; drawings may exceed it a little.
            other_images: [N, 3, H, W] likewise.

        Returns:
            [N] float32.

        Raises:
            ValueError: If the values look like 0..255 or 0..1.
        """
        for batch in (images, other_images):
            low, high = batch.detach().aminmax()
            if high > 8 or (low >= 0 and 0.5 < high <= 1):
                raise ValueError(f"LPIPS wants images in [-1, 1], got [{float(low):.2f}, {float(high):.2f}]")
        return self.distance(images.float(), other_images.float()).flatten()


def load_lpips(net: LpipsNet = "alex", trunk: str | Path | None = None) -> Lpips:
    """LPIPS with strictly loaded weights: the calibration from the lpips package, the trunk from torchvision's file.

    Args:
        net: Architecture of the trunk.
        trunk: Weight file of the trunk; by default in torch.hub's folder of downloads. It is never downloaded here.

    Raises:
        ModelError: If the trunk's file is missing or has another hash.
    """
    import lpips

    file_name, architecture = _TRUNKS[net]
    file = Path(trunk) if trunk else Path(torch.hub.get_dir()) / "checkpoints" / file_name
    digest = file_name.rsplit("-", 1)[1].removesuffix(".pth")
    if not file.is_file():
        raise ModelError(
            f"LPIPS trunk missing: no file {file} (sha256 {digest}...); fetch it once with: python -c "
            f"\"import torchvision; torchvision.models.{architecture}(weights='IMAGENET1K_V1')\", or choose "
            f"perceptual=face_network"
        )
    if not sha256_of_file(file).startswith(digest):
        raise ModelError(f"LPIPS trunk {file}: damaged or another file, its sha256 does not begin with {digest}")
    # The package would load both files non-strictly and download a missing trunk: it builds the network, we load it.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package uses arguments that torchvision has deprecated
        distance = lpips.LPIPS(net=net, pretrained=False, pnet_rand=True, verbose=False)
    trunk_weights = torch.load(file, map_location="cpu", weights_only=True)
    trunk_state = {name: trunk_weights["features." + name.split(".", 1)[1]] for name in distance.net.state_dict()}
    distance.net.load_state_dict(trunk_state)
    calibration = torch.load(
        Path(lpips.__file__).parent / "weights" / "v0.1" / f"{net}.pth", map_location="cpu", weights_only=True
    )
    incompatible = distance.load_state_dict(calibration, strict=False)
    # `lins` holds the same layers as lin0 .. lin4, under a second name.
    missing = [name for name in incompatible.missing_keys if name.startswith("lin") and not name.startswith("lins.")]
    if missing or incompatible.unexpected_keys:
        raise ModelError(f"lpips package: its calibration for {net} lacks {missing}; reinstall lpips")
    return Lpips(distance)
