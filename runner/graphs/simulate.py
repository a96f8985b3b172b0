"""The same quantized graph with its integer products in floating point: what quantization costs by itself.

An INT8 kernel may saturate where its accumulators are narrow (u8s8 on x86 without VNNI), so that the file computes less
well when it is executed than its numbers allow. Matrix products are in float64, which holds every sum of int8 products
exactly; convolutions in float32 (ONNX Runtime has no other on the CPU), exact up to sums of 2^24: 518 products of u8s8.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx
from onnx import TensorProto, helper

_PRODUCTS = {"MatMulInteger": ("MatMul", TensorProto.DOUBLE), "ConvInteger": ("Conv", TensorProto.FLOAT)}


def integer_operators(path: Path) -> list[str]:
    """Types of the nodes that multiply quantized numbers, Q/DQ pairs included; empty for a float model."""
    kinds = {node.op_type for node in onnx.load(path, load_external_data=False).graph.node}
    return sorted(
        kind
        for kind in kinds
        if kind in _PRODUCTS or kind == "DequantizeLinear" or kind.startswith(("QLinear", "QGemm"))
    )


def integer_nodes(path: Path) -> dict[str, int]:
    """How many nodes of each type multiply integers as they are, pairs of Q and DQ left out."""
    kinds = Counter(node.op_type for node in onnx.load(path, load_external_data=False).graph.node)
    return {kind: count for kind, count in sorted(kinds.items()) if kind in _PRODUCTS or kind.startswith("QLinear")}


def in_float(path: Path, target: Path) -> bool:
    """Write the graph with every integer product in floating point; False where it has none that can be written so.

    Raises:
        OSError: it cannot be written.
    """
    model = onnx.load(path)
    nodes, rewritten = [], 0
    for number, node in enumerate(model.graph.node):
        if node.op_type in _PRODUCTS:
            nodes += _as_float(node, f"simulated_{number}")
            rewritten += 1
        else:
            nodes.append(node)
    if not rewritten:
        return False
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    del model.graph.value_info[:]  # types on the way are others now
    onnx.save(model, target)
    return True


def _as_float(node: onnx.NodeProto, prefix: str) -> list[onnx.NodeProto]:
    """Operands less their zero points in floating point, their product there, and the sum as the int32 that it is."""
    (kind, precision), made, operands = _PRODUCTS[node.op_type], [], []
    for position in range(2):
        name = f"{prefix}_{position}"
        made.append(helper.make_node("Cast", [node.input[position]], [name], to=precision))
        zero = node.input[position + 2] if len(node.input) > position + 2 else ""
        if zero:
            made.append(helper.make_node("Cast", [zero], [f"{name}_zero"], to=precision))
            made.append(helper.make_node("Sub", [name, f"{name}_zero"], [f"{name}_less"]))
            name = f"{name}_less"
        operands.append(name)
    product = helper.make_node(kind, operands, [f"{prefix}_product"])
    product.attribute.extend(node.attribute)
    made += [product, helper.make_node("Cast", [f"{prefix}_product"], [node.output[0]], to=TensorProto.INT32)]
    return made
