from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from data.errors import ConfigError, ModelError
from data.faces.alignment import ARCFACE_REGION, crop_region
from data.faces.analyzer import embed_crops
from data.faces.protocol import unit_rows
from data.faces.registry import load_analyzer, load_recognizer
from encoder.faces.export import check_exporter, save_face_encoder
from encoder.faces.inference import embed, measure_statistics, to_inputs
from encoder.faces.network import FaceEncoder, FaceEncoderConfig
from gan.identity import load_face_network
from tests.networks import FEATURE_SIZE, random_face_encoder
from tests.synthetic import draw_face

CROPS = np.stack([draw_face(person) for person in range(5)])


@pytest.fixture(params=["residual", "separable"])
def encoder(request: pytest.FixtureRequest) -> FaceEncoder:
    return random_face_encoder(request.param)


def test_a_face_has_the_same_feature_in_any_batch(encoder: FaceEncoder) -> None:
    features = embed(encoder, CROPS)
    assert features.shape == (5, FEATURE_SIZE) and features.dtype == np.float32
    np.testing.assert_allclose(embed(encoder, CROPS[2:3])[0], features[2], atol=1e-4)
    assert embed(encoder, CROPS[:0]).shape == (0, 24)


def test_statistics_make_features_zero_mean_over_their_images_and_leave_weights_alone(encoder: FaceEncoder) -> None:
    weights = [parameter.clone() for parameter in encoder.parameters()]
    measure_statistics(encoder, [to_inputs(CROPS)])
    features = embed(encoder, CROPS)
    # Nearly: variances are measured without bias, which shows with five images.
    np.testing.assert_allclose(features.mean(axis=0), 0, atol=0.05)
    np.testing.assert_allclose(features.std(axis=0), 1, atol=0.3)
    assert all(torch.equal(a, b) for a, b in zip(weights, encoder.parameters(), strict=True))
    assert not any(module.training for module in encoder.modules())


def test_statistics_do_not_depend_on_what_was_there_before(encoder: FaceEncoder) -> None:
    expected = embed(encoder, CROPS)
    encoder.train()(torch.randn(4, 3, 112, 112))
    measure_statistics(encoder, [to_inputs(CROPS)])
    np.testing.assert_array_equal(embed(encoder, CROPS), expected)


def test_a_saved_encoder_gives_the_same_by_torch_onnxruntime_insightface_and_onnx2torch(
    encoder: FaceEncoder, tmp_path: Path
) -> None:
    expected = unit_rows(embed(encoder, CROPS))
    save_face_encoder(encoder, tmp_path / "model", "5 faces of 5 people of nowhere", None)
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        *("README.md", "config.json", "face_encoder.onnx", "model.safetensors")
    ]
    np.testing.assert_array_equal(unit_rows(embed(FaceEncoder.from_pretrained(tmp_path / "model"), CROPS)), expected)

    recognizer = load_recognizer(str(tmp_path / "model"))
    np.testing.assert_allclose(embed_crops(recognizer, CROPS), expected, atol=1e-4)

    from insightface.model_zoo.arcface_onnx import ArcFaceONNX

    network = ArcFaceONNX(str(tmp_path / "model" / "face_encoder.onnx"))
    assert (network.input_mean, network.input_std, network.input_size) == (127.5, 127.5, (112, 112))
    squares = crop_region(CROPS, ARCFACE_REGION, 112)
    features = network.get_feat([np.ascontiguousarray(square[..., ::-1]) for square in squares])
    np.testing.assert_allclose(unit_rows(features), expected, atol=1e-4)

    face_network = load_face_network(recognizer.info)
    with torch.no_grad():
        features = torch.nn.functional.normalize(face_network.network(to_inputs(CROPS)), dim=1).numpy()
    np.testing.assert_allclose(features, expected, atol=1e-4)
    images = (torch.from_numpy(CROPS).permute(0, 3, 1, 2) / 127.5 - 1).requires_grad_()
    maps, of_images = face_network.maps_and_features(images)
    assert [tuple(m.shape[2:]) for m in maps] == [(28, 28), (14, 14), (7, 7)]
    of_images[:, 0].sum().backward()
    assert images.grad is not None and (images.grad.flatten(1).abs().sum(1) > 0).all()


def test_the_onnx_file_takes_any_batch_in_an_opset_that_onnx2torch_knows(encoder: FaceEncoder, tmp_path: Path) -> None:
    save_face_encoder(encoder, tmp_path, "nobody", None)
    model = onnx.load(str(tmp_path / "face_encoder.onnx"))
    onnx.checker.check_model(model)
    assert model.opset_import[0].version == 13
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    assert {node.op_type for node in model.graph.node} <= {"Conv", "Relu", "Add", "Flatten", "Identity"}


def test_a_network_is_named_by_its_file_or_its_folder_and_serves_aligned_crops(tmp_path: Path) -> None:
    save_face_encoder(random_face_encoder("residual"), tmp_path, "nobody", None)
    path = tmp_path / "face_encoder.onnx"
    by_folder = load_recognizer(str(tmp_path))
    for name in (f"onnx:{path}", str(path), f"onnx:{tmp_path}"):
        assert load_recognizer(name).info == by_folder.info
    assert by_folder.info.name == f"onnx:{path}" and by_folder.info.feature_size == FEATURE_SIZE
    analyzed = load_analyzer(f"aligned:{tmp_path}").analyze(CROPS[0], 64)
    np.testing.assert_allclose(analyzed.feature, embed_crops(by_folder, CROPS[:1])[0], atol=1e-5)


def test_a_missing_network_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no file .*face_encoder\.onnx; train one with scripts/train_face_encoder"):
        load_recognizer(f"onnx:{tmp_path}")
    (tmp_path / "detector.onnx").write_bytes(b"rubbish")
    with pytest.raises(ModelError, match="onnxruntime can't load it"):
        load_recognizer(f"onnx:{tmp_path / 'detector.onnx'}")


def test_a_network_that_ships_is_found_by_name_wherever_features_were_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def elsewhere(name: str) -> Path:
        return tmp_path / name

    monkeypatch.setattr("data.faces.onnx.shipped_weights", elsewhere)
    for name, folder in (("personas", "face_encoder"), ("personas-judge", "judge")):
        with pytest.raises(ModelError, match=rf"{name}.*{folder}/face_encoder\.onnx is missing.*train one"):
            load_recognizer(name)
        save_face_encoder(random_face_encoder("residual"), tmp_path / folder, "nobody", None)
        info = load_recognizer(name).info
        assert (info.name, info.path) == (name, "")
        assert load_face_network(info).input_size == 112


def test_without_the_exporters_package_training_does_not_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install 'wav2face\[faces\]'"):
        check_exporter()
    assert "onnx" in sys.modules


def test_sizes_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigError, match="1 or more"):
        FaceEncoderConfig(widths=(8, 0, 8))
