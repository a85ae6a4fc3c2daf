"""Small face networks of our own for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from encoder.faces.export import save_face_encoder
from encoder.faces.inference import measure_statistics, to_inputs
from encoder.faces.network import FaceEncoder, FaceEncoderConfig
from tests.synthetic import draw_face

FEATURE_SIZE = 24


def random_face_encoder(architecture: str = "residual") -> FaceEncoder:
    """Of random weights, with statistics that make the features of different faces differ."""
    torch.manual_seed(0)
    config = FaceEncoderConfig(
        architecture=architecture,  # type: ignore[arg-type]
        widths=(8, 12, 16),
        depths=(1, 1, 1),
        feature_size=FEATURE_SIZE,
    )
    encoder = FaceEncoder(config)
    measure_statistics(encoder, [to_inputs(np.stack([draw_face(person) for person in range(5)]))])
    return encoder


def make_face_encoder(folder: Path, architecture: str = "residual") -> Path:
    """The folder of such a network."""
    save_face_encoder(random_face_encoder(architecture), folder, "5 faces of 5 people of nowhere", None)
    return folder


def write_classifier(path: Path, probabilities: bool, batch: int | str = "N") -> Path:
    """A network of three classes whose logits are 10 times the mean of each colour."""
    from onnx import TensorProto as kind
    from onnx import helper

    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "ten"], ["logits"]),
    ]
    if probabilities:
        nodes.append(helper.make_node("Softmax", ["logits"], ["shares"], axis=1))
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("image", kind.FLOAT, [batch, 3, 8, 8])],
        [helper.make_tensor_value_info(nodes[-1].output[0], kind.FLOAT, [batch, 3])],
        [helper.make_tensor("ten", kind.FLOAT, [], [10.0])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def write_wavlm(folder: Path, hidden_size: int) -> Path:
    """A WavLM of two layers with random weights, as transformers saves one."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.WavLMConfig(
        hidden_size=hidden_size,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=2 * hidden_size,
        conv_dim=(8, 8),
        conv_stride=(20, 16),
        conv_kernel=(40, 32),
        num_feat_extract_layers=2,
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2,
    )
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    return folder
