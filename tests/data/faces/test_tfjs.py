"""Graph models of TensorFlow.js as ONNX graphs, against outputs computed by hand."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from data.errors import ModelError
from data.faces.tfjs import convert_graph, read_graph_model
from tests.graph_model import TinyGraph

onnxruntime = pytest.importorskip("onnxruntime")


def run(model: Any, pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    inputs = (pixels.transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 127.5
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, {"input": inputs}), strict=True))


@pytest.fixture
def pixels() -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)


@pytest.mark.parametrize("half, tolerance", [(False, 1e-5), (True, 0.02)])
def test_a_converted_graph_reads_rgb_as_arcface_does_and_gives_the_outputs_of_the_original(
    pixels: NDArray[np.uint8], half: bool, tolerance: float
) -> None:
    tiny = TinyGraph()
    model = convert_graph(read_graph_model(*tiny.files(half)), {"pool": "feature", "share": "share", "gate": "gate"}, 8)
    outputs, expected = run(model, pixels), tiny.compute(pixels)
    assert outputs.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(outputs[name], values, rtol=tolerance, atol=tolerance)


def test_a_feature_graph_has_only_nodes_that_carry_gradients_to_the_pixels(pixels: NDArray[np.uint8]) -> None:
    model = convert_graph(read_graph_model(*TinyGraph().files()), {"pool": "feature"}, 8)
    assert {node.op_type for node in model.graph.node} == {"Add", "Conv", "Clip", "ReduceMean"}
    onnx2torch, torch = pytest.importorskip("onnx2torch"), pytest.importorskip("torch")
    images = torch.from_numpy((pixels.transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 127.5).requires_grad_()
    feature = onnx2torch.convert(model)(images)
    np.testing.assert_allclose(feature.detach().numpy(), run(model, pixels)["feature"], atol=1e-5)
    feature.square().sum().backward()
    assert (images.grad != 0).any(dim=(1, 2, 3)).all()


def test_a_node_of_another_kind_is_refused_by_name() -> None:
    tiny = TinyGraph()
    tiny.nodes[-2]["op"] = "Erf"
    with pytest.raises(ModelError, match=r"can't be converted: share \(Erf\)"):
        convert_graph(read_graph_model(*tiny.files()), {"share": "share"}, 8)
    convert_graph(read_graph_model(*tiny.files()), {"pool": "feature"}, 8)  # which does not need it


def test_files_that_do_not_fit_each_other_are_refused() -> None:
    topology, weights = TinyGraph().files()
    with pytest.raises(ModelError, match="names"):
        read_graph_model(topology, weights + b"1234")
    for wrong in (b"{}", b"\xff", topology[:-1]):
        with pytest.raises(ModelError, match=r"no TensorFlow\.js graph model"):
            read_graph_model(wrong, weights)
    with pytest.raises(ModelError, match=r"no TensorFlow\.js graph model"):
        read_graph_model(topology, weights[:100])
    with pytest.raises(ModelError, match="no node nowhere"):
        convert_graph(read_graph_model(topology, weights), {"nowhere": "feature"}, 8)
