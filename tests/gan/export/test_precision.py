from __future__ import annotations

import numpy as np
import pytest

from data.faces.shipped import shipped_weights
from gan.export.folder import compare_with_torch
from gan.export.graphs import face_graph, voice_graph
from gan.export.precision import Precision, quantise, store_weights
from gan.voice2face import Voice2Face


def test_int8_scales_each_output_by_its_largest_weight() -> None:
    values = np.array([[1.27, -0.635, 0.01], [0.0, 0.0, 0.0], [-254.0, 3.0, 2.1]], np.float32)
    rounded, scale = quantise(values, axis=0)
    assert rounded.dtype == np.int8
    assert rounded.tolist() == [[127, -64, 1], [0, 0, 0], [-127, 2, 1]]  # halves go to the even neighbour
    assert scale[[0, 2]] == pytest.approx([0.01, 2.0])
    columns, scale = quantise(values.T.copy(), axis=1)
    assert columns.tolist() == rounded.T.tolist() and scale.shape == (3,)


@pytest.mark.parametrize(
    ("precision", "largest_share", "feature_error", "image_error"),
    [("fp16", 0.56, 1e-4, 5e-3), ("int8", 0.35, 2e-3, 0.1)],
)
def test_smaller_weights_change_outputs_a_little(
    precision: Precision, largest_share: float, feature_error: float, image_error: float
) -> None:
    model = Voice2Face.from_pretrained(shipped_weights("model"))
    exact = voice_graph(model), face_graph(model)
    small = [store_weights(graph, precision) for graph in exact]
    for graph, before in zip(small, exact, strict=True):
        assert len(graph) < largest_share * len(before)
    differences = compare_with_torch(model, *small)
    assert 1e-7 < differences["feature"] < feature_error
    assert 1e-4 < differences["image"] < image_error


def test_fp32_leaves_a_graph_as_it_is() -> None:
    assert store_weights(b"anything", "fp32") == b"anything"
