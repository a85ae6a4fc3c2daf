"""Small ONNX graphs of random weights with the inputs and outputs of published speaker networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = 6


def write_voice_graph(path: Path, kind: str, seed: int = 0) -> Path:
    """Write a graph whose vector is the mean over time, times random weights.

    Args:
        path: File to write.
        kind: "wespeaker" (or 3D-Speaker): feats [B, T, 80] to embs [B, 6]. "speechbrain": feats [1, T, 80] and
            relative lengths [1] to [1, 1, 6], one recording at a time. "nemo": audio_signal [B, 80, T] and lengths [B]
            to logits [B, 3] and embs [B, 6]; it divides by the lengths. "waveform": samples [B, T] to [B, 6].
        seed: Seed of the weights.
    """
    weights = np.random.default_rng(seed).standard_normal((80, SIZE)).astype("f4") / 9

    def node(operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> onnx.NodeProto:
        return helper.make_node(operator, list(inputs), [output], **attributes)

    def tensor(name: str, kind: int, shape: Sequence[object]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, shape)

    constants = {"weights": weights}
    if kind == "nemo":
        inputs = [tensor("audio_signal", TensorProto.FLOAT, ["B", 80, "T"]), tensor("length", TensorProto.INT64, ["B"])]
        outputs = [tensor("logits", TensorProto.FLOAT, ["B", 3]), tensor("embs", TensorProto.FLOAT, ["B", SIZE])]
        constants |= {"time": np.array([2]), "last": np.array([1]), "classes": weights[:SIZE, :3].copy()}
        nodes = [
            node("ReduceSum", ["audio_signal", "time"], "sum", keepdims=0),
            node("Cast", ["length"], "count", to=TensorProto.FLOAT),
            node("Unsqueeze", ["count", "last"], "column"),
            node("Div", ["sum", "column"], "mean"),
            node("Abs", ["audio_signal"], "loud"),
            node("ReduceMean", ["loud"], "level", axes=[2], keepdims=0),
            node("Add", ["mean", "level"], "pooled"),
            node("MatMul", ["pooled", "weights"], "embs"),
            node("MatMul", ["embs", "classes"], "logits"),
        ]
    elif kind == "waveform":
        inputs = [tensor("samples", TensorProto.FLOAT, ["B", "T"])]
        outputs = [tensor("vector", TensorProto.FLOAT, ["B", SIZE])]
        constants |= {
            "weights": np.random.default_rng(seed).standard_normal((SIZE, 1, 400)).astype("f4"),
            "axis": np.array([1]),
        }
        nodes = [
            node("Unsqueeze", ["samples", "axis"], "channel"),
            node("Conv", ["channel", "weights"], "filtered", strides=[160]),
            node("Abs", ["filtered"], "loud"),
            node("ReduceMean", ["loud"], "vector", axes=[2], keepdims=0),
        ]
    else:
        batch = 1 if kind == "speechbrain" else "B"
        inputs = [tensor("feats", TensorProto.FLOAT, [batch, "T", 80])]
        outputs = [tensor("embs", TensorProto.FLOAT, [batch, SIZE])]
        # Bands have mean 0, so the mean of their absolute values is pooled.
        nodes = [
            node("Abs", ["feats"], "loud"),
            node("ReduceMean", ["loud"], "level", axes=[1], keepdims=int(kind == "speechbrain")),
            node("MatMul", ["level", "weights"], "embs"),
        ]
        if kind == "speechbrain":
            inputs.append(tensor("lengths", TensorProto.FLOAT, [1]))
            outputs = [tensor("embs", TensorProto.FLOAT, [1, 1, SIZE])]
            nodes[-1] = node("MatMul", ["level", "weights"], "scaled")
            nodes.append(node("Mul", ["scaled", "lengths"], "embs"))
    graph = helper.make_graph(
        nodes, kind, inputs, outputs, [numpy_helper.from_array(value, name) for name, value in constants.items()]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path
