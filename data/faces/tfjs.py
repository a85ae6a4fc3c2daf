"""Convolutional networks of TensorFlow.js graph models as ONNX graphs.

A graph model is a JSON file of nodes and a file of weights. Images are NHWC there and NCHW here. Scales and offsets
behind a convolution are folded into its weights, and chains of minimum and maximum become one Clip, so that the graph
has few kinds of nodes, all of which onnx2torch knows.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from data.errors import ModelError

if TYPE_CHECKING:
    import onnx

_OPSET = 13  # newer graphs trip onnx2torch, which the identity loss needs
_IR_VERSION = 7  # of files of this opset: old releases of onnxruntime read them as well
_CLIPS = ("Relu", "Relu6", "Minimum", "Maximum")
_DTYPES = {"float32": "<f4", "float16": "<f2", "int32": "<i4"}
_CAFFE_MEANS = np.array([103.939, 116.779, 123.68])  # blue, green, red: subtracted from pixels of 0 to 255 by Keras
_HALF = 127.5  # ArcFace networks read (pixel - 127.5) / 127.5


@dataclass(frozen=True)
class GraphModel:
    """A graph model.

    Attributes:
        nodes: Nodes that are no constants, each after those that it reads.
        constants: Weights by name, float16 widened to float32.
    """

    nodes: Sequence[Mapping[str, Any]]
    constants: Mapping[str, NDArray[Any]]


def read_graph_model(topology: bytes, weights: bytes) -> GraphModel:
    """Read a graph model.

    Args:
        topology: Content of its JSON file.
        weights: Content of its file of weights.

    Raises:
        ModelError: If these are no graph model, or the weights don't fit it.
    """
    try:
        model = json.loads(topology)
        entries = [entry for group in model["weightsManifest"] for entry in group["weights"]]
        nodes = [node for node in model["modelTopology"]["node"] if node["op"] != "Const"]
        constants, start = {}, 0
        for entry in entries:
            stored = np.dtype(_DTYPES[entry.get("quantization", entry)["dtype"]])
            count = math.prod(entry["shape"])
            values = np.frombuffer(weights, stored, count, start).reshape(entry["shape"])
            constants[entry["name"]] = values.astype(_DTYPES[entry["dtype"]])
            start += count * stored.itemsize
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"no TensorFlow.js graph model with its weights: {type(error).__name__}: {error}") from error
    if start != len(weights):
        raise ModelError(f"the graph model names {start} bytes of weights, its file has {len(weights)}")
    return GraphModel(nodes, constants)


def convert_graph(model: GraphModel, outputs: Mapping[str, str], image_size: int) -> onnx.ModelProto:
    """Convert a network of faces whose own input is BGR with Keras' caffe means to one that reads as ArcFace's do.

    Args:
        model: Graph model with one image as input.
        outputs: Names of the new graph's outputs, by name of the node that gives each; what none of them needs is
            left out.
        image_size: Side of the input in pixels.

    Returns:
        Graph with the input [batch, 3, image_size, image_size], RGB, (pixel - 127.5) / 127.5, and the outputs
        [batch, n].

    Raises:
        ModelError: If a node is of an unknown kind, or an output is missing.
    """
    builder = _Builder(model.constants)
    for node in _needed(model, outputs):
        builder.add(node["op"], outputs.get(node["name"], node["name"]), _read_inputs(node, outputs), node["attr"])
    return builder.finish(list(outputs.values()), image_size)


def _read_inputs(node: Mapping[str, Any], renamed: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """Names of the nodes that a node reads."""
    names = [entry.split(":")[0] for entry in node.get("input", [])]
    return [renamed.get(name, name) for name in names]


def _needed(model: GraphModel, outputs: Iterable[str]) -> list[Mapping[str, Any]]:
    """The nodes that the outputs need, in their order."""
    by_name = {node["name"]: node for node in model.nodes}
    if missing := sorted(set(outputs) - set(by_name)):
        raise ModelError(f"the graph model has no node {', '.join(missing)}")
    needed: set[str] = set()
    open_names = list(outputs)
    while open_names:
        name = open_names.pop()
        if name in by_name and name not in needed:
            needed.add(name)
            open_names += _read_inputs(by_name[name])
    return [node for node in model.nodes if node["name"] in needed]


@dataclass(frozen=True)
class _Linear:
    """A convolution or matrix product that later nodes may still scale, shift or clip.

    Attributes:
        kind: Conv or Gemm.
        source: Name of its input.
        weight: [C_out, C_in, h, w] or [C_out, C_in].
        bias: [C_out].
        attributes: Attributes of the ONNX node.
        low: Lower bound of the result.
        high: Upper bound of the result.
    """

    kind: str
    source: str
    weight: NDArray[np.float64]
    bias: NDArray[np.float64]
    attributes: Mapping[str, Any]
    low: float = -math.inf
    high: float = math.inf

    @property
    def is_clipped(self) -> bool:
        """Whether the result has a bound, after which it can't be scaled or shifted any more."""
        return math.isfinite(self.low) or math.isfinite(self.high)

    def scaled(self, factor: NDArray[np.floating]) -> _Linear:
        """The same, with each channel of the result multiplied by a factor."""
        factor = np.broadcast_to(factor.astype(np.float64).ravel(), self.bias.shape)
        weight = self.weight * factor.reshape(-1, *[1] * (self.weight.ndim - 1))
        return replace(self, weight=weight, bias=self.bias * factor)

    def shifted(self, offset: NDArray[np.floating]) -> _Linear:
        """The same, with an offset added to each channel of the result."""
        return replace(self, bias=self.bias + offset.astype(np.float64).ravel())

    def clipped(self, kind: str, bounds: Sequence[NDArray[np.floating]]) -> _Linear:
        """The same, behind a node of this kind."""
        low = {"Relu": 0.0, "Relu6": 0.0}.get(kind, -math.inf) if kind != "Maximum" else float(bounds[0])
        high = {"Relu6": 6.0}.get(kind, math.inf) if kind != "Minimum" else float(bounds[0])
        # The order of two bounds does not matter as long as the lower one is below the upper one.
        return replace(self, low=max(self.low, low), high=min(self.high, high))


class _Builder:
    """Nodes and weights of the ONNX graph, as nodes of the graph model are added."""

    def __init__(self, constants: Mapping[str, NDArray[Any]]) -> None:
        self._constants = constants
        self._open: dict[str, _Linear] = {}
        self._nodes: list[onnx.NodeProto] = []
        self._weights: dict[str, NDArray[np.float32]] = {}
        self._channels: dict[str, int] = {}
        self._image = ""

    def add(self, kind: str, name: str, inputs: Sequence[str], attributes: Mapping[str, Any]) -> None:
        """Add a node whose inputs were added before."""
        constants = [self._constants[entry] for entry in inputs if entry in self._constants]
        before = self._open.get(inputs[0]) if inputs else None
        if kind == "Placeholder":
            self._image = name
        elif kind == "Conv2D":
            weight = constants[0].transpose(3, 2, 0, 1)
            self._open[name] = self._make_convolution(name, inputs[0], weight, 1, attributes)
        elif kind == "DepthwiseConv2dNative" and constants[0].shape[3] == 1:
            weight = constants[0].transpose(2, 3, 0, 1)
            self._open[name] = self._make_convolution(name, inputs[0], weight, len(weight), attributes)
        elif kind in ("MatMul", "_FusedMatMul"):
            self._open[name] = self._make_product(name, inputs[0], constants, attributes)
        elif kind == "Mul" and constants and before and not before.is_clipped:
            self._open[name] = before.scaled(constants[0])
        elif kind in ("Add", "AddV2", "BiasAdd") and constants and before and not before.is_clipped:
            self._open[name] = before.shifted(constants[0])
        elif kind in _CLIPS and before:
            self._open[name] = before.clipped(kind, constants)
        elif kind == "Mean" and sorted(constants[0].tolist()) == [1, 2]:
            keep = int(attributes.get("keep_dims", {}).get("b", False))
            self._emit("ReduceMean", [self._close(inputs[0])], name, axes=[2, 3], keepdims=keep)
        elif kind == "Sigmoid":
            self._emit(kind, [self._close(inputs[0])], name)
        elif kind == "Softmax":
            self._emit(kind, [self._close(inputs[0])], name, axis=-1)
        else:
            raise ModelError(f"the graph model has a node that can't be converted: {name} ({kind})")

    def finish(self, outputs: Sequence[str], image_size: int) -> onnx.ModelProto:
        """The graph, with these values as its outputs."""
        from onnx import TensorProto, helper, numpy_helper

        for name in outputs:
            self._close(name)
        shapes = {"input": ["batch", 3, image_size, image_size]}
        shapes |= {name: ["batch", self._channels[name]] for name in outputs}
        values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
        weights = [numpy_helper.from_array(array, name) for name, array in self._weights.items()]
        graph = helper.make_graph(self._nodes, "face network", values[:1], values[1:], weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)

    def _make_convolution(
        self, name: str, source: str, weight: NDArray[np.float32], groups: int, attributes: Mapping[str, Any]
    ) -> _Linear:
        padding = _decode(attributes["padding"]["s"])
        strides = [int(number) for number in attributes["strides"]["list"]["i"]][1:3]
        dilations = attributes.get("dilations", {}).get("list", {}).get("i", [])
        if padding not in ("SAME", "VALID") or {int(number) for number in dilations} - {1}:
            raise ModelError(f"the graph model has a convolution that can't be converted: {name}")
        kernel = list(weight.shape[2:])
        # For an input whose side is a multiple of the stride; TensorFlow puts the odd pixel behind.
        margins = [max(kernel[i] - strides[i], 0) if padding == "SAME" else 0 for i in (0, 1)]
        pads = [margin // 2 for margin in margins] + [margin - margin // 2 for margin in margins]
        exact = weight.astype(np.float64)
        if source == self._image:
            # Not into the bias: the border of the image is padded with the network's own zeros.
            self._weights["offset"] = ((_HALF - _CAFFE_MEANS[::-1]) / _HALF).astype(np.float32).reshape(1, 3, 1, 1)
            self._emit("Add", ["input", "offset"], source)
            exact = exact[:, ::-1] * _HALF
        described = {"kernel_shape": kernel, "strides": strides, "pads": pads, "group": groups}
        return _Linear("Conv", self._close(source), exact, np.zeros(len(exact)), described)

    def _make_product(
        self, name: str, source: str, constants: Sequence[NDArray[np.float32]], attributes: Mapping[str, Any]
    ) -> _Linear:
        weight = constants[0].astype(np.float64).T
        product = _Linear("Gemm", self._close(source), weight, np.zeros(len(weight)), {"transB": 1})
        for text in attributes.get("fused_ops", {}).get("list", {}).get("s", []):
            kind = _decode(text)
            if kind != "BiasAdd" and kind not in _CLIPS:
                raise ModelError(f"the graph model has a node that can't be converted: {name} ({kind})")
            product = product.shifted(constants[1]) if kind == "BiasAdd" else product.clipped(kind, [])
        return product

    def _close(self, name: str) -> str:
        """Write a convolution or product that is still open, and return the name of the value."""
        linear = self._open.pop(name, None)
        if linear is None:
            return name
        self._weights[f"{name}.weight"] = np.ascontiguousarray(linear.weight, np.float32)
        self._weights[f"{name}.bias"] = linear.bias.astype(np.float32)
        result = f"{name}.linear" if linear.is_clipped else name
        self._emit(linear.kind, [linear.source, f"{name}.weight", f"{name}.bias"], result, **linear.attributes)
        self._channels[result] = len(linear.bias)
        if linear.is_clipped:
            bounds = {f"{name}.low": linear.low, f"{name}.high": linear.high}
            self._weights |= {key: np.array(bound, np.float32) for key, bound in bounds.items() if math.isfinite(bound)}
            self._emit("Clip", [result, *(key if key in self._weights else "" for key in bounds)], name)
        return name

    def _emit(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> None:
        from onnx import helper

        self._nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        self._channels[output] = self._channels.get(inputs[0], 3)


def _decode(text: str) -> str:
    """A string of the JSON file."""
    return base64.b64decode(text).decode()
