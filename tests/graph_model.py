"""A tiny graph model of TensorFlow.js in the form of MobileNet, and its outputs by NumPy."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

CAFFE_MEANS = np.array([103.939, 116.779, 123.68])  # blue, green, red


def encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def node(name: str, kind: str, *inputs: str, **attributes: Any) -> dict[str, Any]:
    return {"name": name, "op": kind, "input": list(inputs), "attr": attributes}


def convolution(name: str, kind: str, *inputs: str, stride: int) -> dict[str, Any]:
    strides = {"list": {"i": ["1", str(stride), str(stride), "1"]}}
    return node(name, kind, *inputs, strides=strides, padding={"s": encode("SAME")})


class TinyGraph:
    """A network of a few weights."""

    def __init__(self, names: Mapping[str, str] | None = None) -> None:
        """Draw the weights; `names` gives nodes other names."""
        random = np.random.default_rng(0)
        self.weights = {
            "conv": random.normal(0, 0.02, (3, 3, 3, 4)),
            "shift": random.normal(0, 1, (4,)),
            "six": np.array(6.0),
            "zero": np.array(0.0),
            "depthwise": random.normal(0, 1, (3, 3, 4, 1)),
            "scale": random.normal(0, 1, (4,)),
            "axes": np.array([1, 2]),
            "kernel": random.normal(0, 1, (4, 5)),
            "bias": random.normal(0, 1, (5,)),
        }
        fused = {"list": {"s": [encode("BiasAdd"), encode("Relu")]}}
        self.nodes = [
            node("image", "Placeholder"),
            *(node(name, "Const") for name in self.weights),
            convolution("c1", "Conv2D", "image", "conv", stride=2),
            node("c2", "Add", "c1", "shift"),
            node("c3", "Relu", "c2"),
            node("c4", "Minimum", "c3", "six"),
            node("c5", "Maximum", "c4", "zero"),
            convolution("d1", "DepthwiseConv2dNative", "c5", "depthwise", stride=1),
            node("d2", "Mul", "d1", "scale"),
            node("d3", "AddV2", "d2", "shift"),
            node("pool", "Mean", "d3", "axes"),
            node("dense", "_FusedMatMul", "pool", "kernel", "bias", fused_ops=fused),
            node("share", "Softmax", "dense"),
            node("gate", "Sigmoid", "dense:0"),
        ]
        for entry in self.nodes if names else []:
            entry["name"] = names.get(entry["name"], entry["name"])
            entry["input"] = [names.get(name, name) for name in entry["input"]]

    def files(self, half: bool = False) -> tuple[bytes, bytes]:
        """The JSON file and the file of weights, as float16 if asked."""
        entries, content = [], b""
        for name, values in self.weights.items():
            entry: dict[str, Any] = {"name": name, "shape": list(values.shape), "dtype": "float32"}
            stored = "<f2" if half else "<f4"
            if name == "axes":
                entry["dtype"], stored = "int32", "<i4"
            elif half:
                entry["quantization"] = {"dtype": "float16", "original_dtype": "float32"}
            entries.append(entry)
            content += values.astype(stored).tobytes()
        manifest = [{"paths": ["tiny.bin"], "weights": entries}]
        return json.dumps({"modelTopology": {"node": self.nodes}, "weightsManifest": manifest}).encode(), content

    def compute(self, pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
        """Outputs for [N, H, W, 3] RGB."""
        weights = self.weights
        image = pixels[..., ::-1] - CAFFE_MEANS
        hidden = np.clip(convolve(image, weights["conv"], 2) + weights["shift"], 0, 6)
        wide = np.zeros((3, 3, 4, 4))
        wide[:, :, range(4), range(4)] = weights["depthwise"][..., 0]
        pool = (convolve(hidden, wide, 1) * weights["scale"] + weights["shift"]).mean(axis=(1, 2))
        dense = np.maximum(pool @ weights["kernel"] + weights["bias"], 0)
        share = np.exp(dense) / np.exp(dense).sum(axis=1, keepdims=True)
        return {"feature": pool, "share": share, "gate": 1 / (1 + np.exp(-dense))}


def convolve(image: NDArray[np.float64], kernel: NDArray[np.float64], stride: int) -> NDArray[np.float64]:
    """TensorFlow's SAME convolution with a 3 x 3 kernel of an even image: the odd row of padding is the last."""
    size = image.shape[1]
    margin = 3 - stride
    padded = np.pad(image, ((0, 0), (margin // 2, margin - margin // 2), (margin // 2, margin - margin // 2), (0, 0)))
    rows = [slice(i, i + size, stride) for i in range(3)]
    return sum(padded[:, rows[i], rows[j]] @ kernel[i, j] for i in range(3) for j in range(3))
