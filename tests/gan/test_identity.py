from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from data.errors import ModelError
from data.faces.alignment import ARCFACE_REGION, crop_region
from data.faces.protocol import FaceEncoderInfo
from data.faces.registry import load_recognizer
from gan.identity import cut_for_face_network, load_face_network
from tests.synthetic import TinyWorld, draw_face


def crops(num_images: int = 3, size: int = 64) -> np.ndarray:
    return np.stack([draw_face(person, size=size) for person in range(num_images)])


def as_images(pictures: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pictures).permute(0, 3, 1, 2) / 127.5 - 1


def assert_agrees_with_its_recognizer(name: str, root: Path) -> None:
    """A batch of three different faces, because a folded batch shows with more than one alone."""
    recognizer = load_recognizer(name, root)
    network = load_face_network(recognizer.info)
    pictures = crops()
    inputs = cut_for_face_network(as_images(pictures), recognizer.input_size)
    pixels = ((inputs + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    rounded = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        raw = network.network((((rounded + 1) * 127.5) - network.input_mean) / network.input_std)
        features = torch.nn.functional.normalize(raw, dim=1).numpy()
    np.testing.assert_allclose(features, recognizer.embed(pixels), atol=2e-5)
    images = as_images(pictures).requires_grad_()
    network(images).square().sum(0)[0].backward()
    assert images.grad is not None and (images.grad.flatten(1).abs().sum(1) > 0).all()
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_the_differentiable_network_gives_the_recognizers_features(tiny_world: TinyWorld) -> None:
    assert_agrees_with_its_recognizer("insightface:tiny", tiny_world.pack_root)


def test_a_recognizer_with_a_batch_of_one_in_its_graph_gives_its_features(
    tiny_world: TinyWorld, tmp_path: Path
) -> None:
    model = onnx.load(tiny_world.pack_root / "models" / "tiny" / "tiny.onnx")
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    (tmp_path / "models" / "one").mkdir(parents=True)
    onnx.save(model, tmp_path / "models" / "one" / "one.onnx")
    assert_agrees_with_its_recognizer("insightface:one", tmp_path)


def test_a_real_recognizer_with_a_batch_of_one_in_its_graph_gives_its_features(real_insightface_root: Path) -> None:
    assert_agrees_with_its_recognizer("insightface:small", real_insightface_root)


@pytest.mark.parametrize("size", [64, 128, 256])
def test_the_torch_cut_is_the_cut_of_the_preparation(size: int) -> None:
    pictures = crops(1, size)
    expected = crop_region(pictures, ARCFACE_REGION, 112)[0].astype(float)
    cut = ((cut_for_face_network(as_images(pictures), 112) + 1) * 127.5)[0].permute(1, 2, 0).numpy()
    assert np.abs(cut - expected).mean() < 3  # bilinear here, bicubic there; a shift by a pixel costs far more
    assert np.abs(np.roll(cut, 3, axis=1) - expected).mean() > 4


def test_maps_run_from_large_to_small_and_the_features_are_the_same(tiny_world: TinyWorld) -> None:
    network = load_face_network(load_recognizer("insightface:tiny", tiny_world.pack_root).info)
    maps, features = network.maps_and_features(as_images(crops(2)))
    assert [tuple(m.shape[2:]) for m in maps] == [(28, 28), (14, 14), (7, 7)]
    torch.testing.assert_close(features, network(as_images(crops(2))))


def test_a_face_network_stays_in_evaluation_mode(tiny_world: TinyWorld) -> None:
    network = load_face_network(load_recognizer("insightface:tiny", tiny_world.pack_root).info).train()
    assert not any(module.training for module in network.modules())


def test_a_missing_or_other_file_is_named_with_its_hash(tiny_world: TinyWorld, tmp_path: Path) -> None:
    info = load_recognizer("insightface:tiny", tiny_world.pack_root).info
    with pytest.raises(ModelError, match=rf"no file .*gone.onnx \(sha256 {info.sha256}\).*--face-encoder-path"):
        load_face_network(info, tmp_path / "gone.onnx")
    with pytest.raises(ModelError, match="not the file that made the data set's features"):
        load_face_network(dataclasses.replace(info, sha256="0" * 64))


def test_a_network_without_gradients_is_refused(tmp_path: Path) -> None:
    import hashlib

    file = tmp_path / "resnet.dat"
    file.write_bytes(b"weights")
    info = FaceEncoderInfo("dlib", hashlib.sha256(b"weights").hexdigest(), 128, str(file))
    with pytest.raises(ModelError, match="gradients need an ONNX network"):
        load_face_network(info)
