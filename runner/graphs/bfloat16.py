"""A graph in bfloat16 for a runtime without kernels for it: every operator in float32, its results rounded at once.

That is what hardware and PyTorch do on a CPU: sums in float32, results in bfloat16, to the nearest, ties to even.
ONNX Runtime's CPU provider has no Gemm, MatMul, Add, ... in bfloat16 and, other than for float16, adds no casts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from assay.runner.graphs import inlined

_AS_THEY_ARE = {"Cast", "CastLike", "Constant", "ConstantOfShape", "Identity", "Shape", "Size"}
"""Operators that every runtime has for every type."""


def with_kernels(path: Path) -> bytes | None:
    """The graph with casts around each operator that reads or writes bfloat16, in inner graphs too; its ports stay.

    None where there is none. The casts are two more nodes for each: such a graph is for answers, not for speed.

    Raises:
        ValueError: the graph is larger than the 2 GiB of a message, or its types cannot be inferred.
    """
    model = inlined.load(path)
    try:
        model = onnx.shape_inference.infer_shapes(model)
    except Exception as error:  # onnx's own, without a common base
        raise ValueError(f"the types in {path.name} cannot be inferred: {str(error).strip()[:300]}") from error
    if not _wrap(model.graph, {}):
        return None
    return bytes(model.SerializeToString())


def _wrap(graph: Any, around: dict[str, int]) -> int:
    """How many operators got casts."""
    types = {**around, **{tensor.name: tensor.data_type for tensor in graph.initializer}}
    for port in (*graph.input, *graph.value_info, *graph.output):
        types[port.name] = port.type.tensor_type.elem_type
    made: list[Any] = []
    count = 0
    for node in graph.node:
        inner = [attribute.g for attribute in node.attribute if attribute.type == onnx.AttributeProto.GRAPH]
        count += sum(_wrap(body, types) for body in inner)
        narrow = [name for name in (*node.input, *node.output) if types.get(name) == TensorProto.BFLOAT16]
        if inner or not narrow or node.op_type in _AS_THEY_ARE:
            made.append(node)
            continue
        made += _in_float32(node, types, f"{node.name or node.op_type}_{len(made)}")
        count += 1
    del graph.node[:]
    graph.node.extend(made)
    return count


def _in_float32(node: Any, types: dict[str, int], label: str) -> list[Any]:
    """The node between casts; `label` makes the names between them its own."""
    before, after = [], []
    wide = onnx.NodeProto()
    wide.CopyFrom(node)
    for attribute in wide.attribute:
        if attribute.name in ("dtype", "output_dtype") and attribute.i == TensorProto.BFLOAT16:
            attribute.i = TensorProto.FLOAT
    for position, name in enumerate(node.input):
        if types.get(name) == TensorProto.BFLOAT16:
            wide.input[position] = f"{label}__in_{position}"
            before.append(helper.make_node("Cast", [name], [wide.input[position]], to=TensorProto.FLOAT))
    for position, name in enumerate(node.output):
        if types.get(name) == TensorProto.BFLOAT16:
            wide.output[position] = f"{label}__out_{position}"
            after.append(helper.make_node("Cast", [wide.output[position]], [name], to=TensorProto.BFLOAT16))
    return [*before, wide, *after]
