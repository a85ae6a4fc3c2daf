"""Smaller files: a graph's weights stored with 16 or 8 bits. All arithmetic stays in fp32.

ONNX Runtime widens fp16 weights when it loads a graph and int8 weights while it runs. Its own dynamic quantisation,
which rounds activations too, was measured against this: docs/export.md.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Precision = Literal["fp32", "fp16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

_MIN_SIZE = 256  # smaller tensors, such as biases, stay as they are


def store_weights(graph: bytes, precision: Precision) -> bytes:
    """Rewrite an ONNX graph so that its weights take less room.

    Args:
        graph: ONNX graph with fp32 weights.
        precision: `fp16` rounds weights to 11 bits; `int8` rounds those with two or more axes to 255 levels, with a
            scale for each output (symmetric quantisation for each channel).
    """
    if precision == "fp32":
        return graph
    import onnx
    from onnx import numpy_helper

    model = onnx.load_from_string(graph)
    nodes = []
    for weight in list(model.graph.initializer):
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < _MIN_SIZE or (precision == "int8" and values.ndim < 2):
            continue
        small = f"{weight.name}_{precision}"
        if precision == "fp16":
            stored = {small: values.astype(np.float16)}
            node = onnx.helper.make_node("Cast", [small], [weight.name], to=onnx.TensorProto.FLOAT)
        else:
            axis = _output_axis(model, weight.name, values.ndim)
            rounded, scale = quantise(values, axis)
            stored = {small: rounded, f"{small}_scale": scale}
            node = onnx.helper.make_node("DequantizeLinear", list(stored), [weight.name], axis=axis)
        model.graph.initializer.remove(weight)
        model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in stored.items())
        nodes.append(node)
    for node in nodes:
        model.graph.node.insert(0, node)
    written: bytes = model.SerializeToString()
    return written


def quantise(values: NDArray[np.float32], axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round to multiples of a scale for each slice along an axis, so that its largest entry becomes 127 scales.

    Args:
        values: Weights.
        axis: Axis of the outputs.

    Returns:
        Multiples in [-127, 127], of the same shape, and the scale of each slice.
    """
    others = tuple(other for other in range(values.ndim) if other != axis)
    scale = np.abs(values).max(axis=others, keepdims=True).clip(1e-12) / 127
    return np.round(values / scale).astype(np.int8), scale.ravel().astype(np.float32)


def _output_axis(model: Any, name: str, ndim: int) -> int:
    """Axis of a weight's outputs: the last one of a matrix that is multiplied from the right, else the first one."""
    last = any(node.op_type == "MatMul" and name == node.input[1] for node in model.graph.node)
    return ndim - 1 if last else 0
