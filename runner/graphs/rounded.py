"""The same graph with every result really rounded to the 16-bit type that the file says.

A runtime without kernels for halves widens a whole chain of operators to float32 and rounds once at its end: sums and
squares that overflow in half precision do not, and no result in between loses a bit. Here every operator computes in
float32, as accumulators of 16-bit hardware do, and its result goes through the narrow type before anything reads it:
to the nearest, ties to even, and to infinity beyond the type's range (65504 of float16).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper, numpy_helper

from assay.runner.graphs import inlined
from assay.runner.graphs.element_types import TypedNode, typed_nodes
from assay.runner.graphs.precision import HALVES

_NUMBERS = {TensorProto.FLOAT16, TensorProto.BFLOAT16}
_TYPES = {"float16": TensorProto.FLOAT16, "bfloat16": TensorProto.BFLOAT16}
_MOVES = {
    "Identity", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Split", "Concat", "Gather",
    "GatherND", "GatherElements", "Expand", "Tile", "Where", "DepthToSpace", "SpaceToDepth", "MaxPool", "Relu", "Neg",
    "Abs", "Max", "Min", "ReduceMax", "ReduceMin", "TopK", "Constant", "If", "Loop", "Scan",
}  # fmt: skip
"""Operators whose results are among what they read: rounded already."""


def write(path: Path, target: Path) -> bool:
    """Write the graph, its 16-bit ports widened to float32; False where nothing in it is of 16 bits.

    Weights and values on the way are exact in float32, so that the only rounding is the one asked for. Codes stay as
    they are: QuantizeLinear and DequantizeLinear round by themselves.

    Raises:
        OSError: it cannot be written.
        ValueError: the graph has sparse weights of 16 bits, which have no such form.
    """
    model = inlined.load(path)
    typed = iter(nodes := typed_nodes(model))
    if not any(kind in HALVES for node in nodes for kind in (*node.reads, *node.writes)):
        return False
    _round(model.graph, typed)
    onnx.save(model, target)
    return True


def _round(graph: Any, typed: Iterator[TypedNode]) -> None:
    if any(tensor.values.data_type in _NUMBERS for tensor in graph.sparse_initializer):
        raise ValueError("a sparse weight of 16 bits cannot be widened")
    made: list[Any] = []
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                _round(attribute.g, typed)
        made += _rounding(node, next(typed))
    del graph.node[:]
    graph.node.extend(made)
    for tensor in graph.initializer:
        _widen(tensor)
    for port in (*graph.input, *graph.output):
        if port.type.tensor_type.elem_type in _NUMBERS:
            port.type.tensor_type.elem_type = TensorProto.FLOAT
    del graph.value_info[:]


def _rounding(node: Any, typed: TypedNode) -> list[Any]:
    """The node in float32, and behind each of its 16-bit results the way there and back."""
    wide = onnx.NodeProto()
    wide.CopyFrom(node)
    for attribute in wide.attribute:
        if attribute.name in ("to", "dtype", "output_dtype") and attribute.i in _NUMBERS:
            attribute.i = TensorProto.FLOAT
        if attribute.type == onnx.AttributeProto.TENSOR:
            _widen(attribute.t)
    if node.op_type in _MOVES:
        return [wide]
    made = [wide]
    for position, (name, kind) in enumerate(zip(node.output, typed.writes, strict=True)):
        if name and kind in HALVES:
            wide.output[position] = f"{name}__as_computed"
            made += [
                helper.make_node("Cast", [wide.output[position]], [f"{name}__narrow"], to=_TYPES[kind]),
                helper.make_node("Cast", [f"{name}__narrow"], [name], to=TensorProto.FLOAT),
            ]
    return made


def _widen(tensor: Any) -> None:
    if tensor.data_type in _NUMBERS:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype("float32"), tensor.name))
