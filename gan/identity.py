"""The training face network T as a frozen torch module that is differentiable with respect to its images.

Face networks are ONNX graphs; onnx2torch converts them, so that gradients reach the pixels. T's square is cut out of
drawings here alone; `data.faces.alignment.crop_region` cuts it out of stored crops.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from data.errors import ModelError
from data.faces.alignment import ARCFACE_REGION, CROP_REGION
from data.faces.onnx import find_network
from data.faces.protocol import FaceEncoderInfo
from data.files import sha256_of_file

if TYPE_CHECKING:
    import onnx


def cut_for_face_network(images: Tensor, input_size: int) -> Tensor:
    """Cut ArcFace's square out of aligned crops and bring it to the network's input size.

    Args:
        images: [N, 3, S, S] covering `CROP_REGION`; for S = 64, 128 or 256 the cut is at whole pixels.
        input_size: Side of the network's input in pixels, 112 for ArcFace.

    Returns:
        [N, 3, input_size, input_size] float32, differentiable, antialiased if it shrinks.
    """
    scale = images.shape[-1] / CROP_REGION.side
    left = round((ARCFACE_REGION.left - CROP_REGION.left) * scale)
    top = round((ARCFACE_REGION.top - CROP_REGION.top) * scale)
    side = round(ARCFACE_REGION.side * scale)
    cut = images[:, :, top : top + side, left : left + side].float()
    size = (input_size, input_size)
    return F.interpolate(cut, size=size, mode="bilinear", align_corners=False, antialias=side > input_size)


class FaceNetwork(nn.Module):
    """T: frozen, always in evaluation mode, differentiable with respect to its images.

    Args:
        network: Maps [N, 3, s, s] RGB images to [N, D] features.
        input_size: s.
        input_mean: Subtracted from 0..255 pixel values before the network.
        input_std: Divided by afterwards.
        num_maps: Number of feature maps that `maps_and_features` returns: those of the lowest resolutions.
    """

    def __init__(
        self, network: nn.Module, input_size: int, input_mean: float, input_std: float, num_maps: int = 3
    ) -> None:
        super().__init__()
        self.network = network.requires_grad_(False).eval()
        self.input_size = input_size
        self.input_mean = input_mean
        self.input_std = input_std
        self.tapped = self._choose_taps(num_maps)

    def train(self, mode: bool = True) -> FaceNetwork:
        """Keep evaluation mode: T is never trained here."""
        return super().train(False)

    def forward(self, images: Tensor, size: int | None = None) -> Tensor:
        """Embed crops.

        Args:
            images: [N, 3, S, S] crops in [-1, 1].
            size: Side in pixels of what the network sees; None is its own input size. Fully convolutional networks
                take others, the rest fail with torch's RuntimeError.

        Returns:
            [N, D] float32 unit features.
        """
        cut = cut_for_face_network(images, size or self.input_size)
        pixels = (cut + 1) * 127.5
        return F.normalize(self.network((pixels - self.input_mean) / self.input_std).float(), dim=1)

    def maps_and_features(self, images: Tensor, size: int | None = None) -> tuple[list[Tensor], Tensor]:
        """As `forward`, with the last feature map of each chosen resolution, [N, C, h, w] each, from large to small."""
        with self._record(self.tapped) as maps:
            features = self(images, size)
        return [maps[name] for name in self.tapped], features

    def _choose_taps(self, num_maps: int) -> list[str]:
        """Names of the layers that hold the last map of each resolution between the input's half and 7 x 7."""
        last: dict[int, str] = {}
        with (
            torch.no_grad(),
            self._record([name for name, _ in self.network.named_modules() if name]) as maps,
        ):
            self.network(torch.zeros(1, 3, self.input_size, self.input_size))
        for name, output in maps.items():
            if output.ndim == 4 and 7 <= output.shape[-1] <= self.input_size // 2:
                last[output.shape[-1]] = name
        return [last[size] for size in sorted(last, reverse=True)][-num_maps:]

    @contextmanager
    def _record(self, names: list[str]) -> Iterator[dict[str, Tensor]]:
        maps: dict[str, Tensor] = {}

        def hook(name: str) -> object:
            def keep(_module: nn.Module, _inputs: object, output: object) -> None:
                if isinstance(output, Tensor):
                    maps[name] = output

            return keep

        handles = [self.network.get_submodule(name).register_forward_hook(hook(name)) for name in names]  # type: ignore[arg-type]
        try:
            yield maps
        finally:
            for handle in handles:
                handle.remove()


def free_batch_size(graph: onnx.GraphProto) -> None:
    """Let every Reshape keep the batch size of its input.

    Exported face networks often contain the batch size of 1 that they were traced with, as [1, -1] or [1, 512]; a batch
    of several faces would silently become one long row. A leading 0 means "same as the input" in ONNX.
    """
    from onnx import numpy_helper

    constants = {node.output[0]: node.attribute[0].t for node in graph.node if node.op_type == "Constant"}
    constants |= {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Reshape" and node.input[1] in constants:
            tensor = constants[node.input[1]]
            shape = numpy_helper.to_array(tensor).copy()
            if shape.ndim == 1 and len(shape) > 1 and shape[0] == 1:
                shape[0] = 0
                tensor.CopyFrom(numpy_helper.from_array(shape, tensor.name))


def load_face_network(info: FaceEncoderInfo, path: str | Path | None = None) -> FaceNetwork:
    """Load the face network that made a data set's features, as a differentiable module.

    Args:
        info: Face network as in dataset.json or a model's config.json.
        path: Path of the ONNX file; by default the recorded one, or the one that the network's name stands for.

    Raises:
        ModelError: If the file is missing, has another hash, or can't be converted.
    """
    file = Path(path).expanduser() if path else find_network(info)
    if not file.is_file():
        raise ModelError(
            f"face network {info.name}: no file {file} (sha256 {info.sha256}); put it there, or give its path "
            f"with --face-encoder-path"
        )
    if sha256_of_file(file) != info.sha256:
        raise ModelError(f"face network {file}: not the file that made the data set's features (sha256 {info.sha256})")
    if file.suffix != ".onnx":
        raise ModelError(
            f"face network {info.name}: gradients need an ONNX network, as of an insightface pack, not {file.name}; "
            f"prepare the data set with another --face-analyzer"
        )
    try:
        import onnx
        import onnx2torch
        from insightface.model_zoo.arcface_onnx import ArcFaceONNX
    except ImportError as error:
        raise ModelError(f"{error.name} is not installed: pip install 'wav2face[faces]'") from None
    preprocessing = ArcFaceONNX(str(file))
    model = onnx.load(str(file))
    free_batch_size(model.graph)
    network = FaceNetwork(
        onnx2torch.convert(model),
        input_size=preprocessing.input_size[0],
        input_mean=preprocessing.input_mean,
        input_std=preprocessing.input_std,
    )
    with torch.no_grad():
        shape = tuple(network(torch.zeros(2, 3, 64, 64)).shape)
    if shape != (2, info.feature_size):
        raise ModelError(f"face network {file}: two faces give features of shape {shape}, not (2, {info.feature_size})")
    return network
