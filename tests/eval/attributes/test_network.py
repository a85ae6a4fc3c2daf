"""A network that reads sex and age, on weights whose outputs are known."""

from pathlib import Path

import numpy as np
import pytest

from data.errors import ConfigError, ModelError
from data.faces.tfjs import convert_graph, read_graph_model
from eval.attributes.network import AttributeNetwork
from tests.graph_model import TinyGraph

pytest.importorskip("insightface")
SIZE = 32


def write_network(path: Path, outputs: dict[str, str]) -> str:
    model = convert_graph(read_graph_model(*TinyGraph().files()), outputs, SIZE)
    path.write_bytes(model.SerializeToString())
    return f"onnx:{path}"


def test_crops_are_read_as_a_probability_and_as_years(tmp_path: Path) -> None:
    reader = AttributeNetwork(write_network(tmp_path / "tiny.onnx", {"gate": "male", "share": "age"}))
    expected = TinyGraph().compute(np.full((3, SIZE, SIZE, 3), 90, np.uint8))
    male, age = reader.read(np.full((3, 64, 64, 3), 90, np.uint8))
    np.testing.assert_allclose(male, expected["gate"][:, 0], atol=1e-4)
    np.testing.assert_allclose(age, expected["share"] @ [1, 2, 3, 4, 5], rtol=1e-4)
    assert reader.info.name == "tiny"
    female = reader.embed(np.full((1, SIZE, SIZE, 3), 90, np.uint8))[:, 0]
    np.testing.assert_allclose(1 / (1 + np.exp(female)), male[:1], atol=1e-5)


def test_a_network_that_tells_neither_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no outputs male and age"):
        AttributeNetwork(write_network(tmp_path / "tiny.onnx", {"pool": "feature"}))
    with pytest.raises(ModelError, match="no file"):
        AttributeNetwork(f"onnx:{tmp_path}/none.onnx")
    with pytest.raises(ConfigError, match="use onnx:<file>"):
        AttributeNetwork("dlib")
