"""The constant operands that a quantized graph does not hold as its original does.

A weight is what the constant part of the graph evaluates to, so asymmetric, per-channel, blockwise and codebook layouts
need no code of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import onnx

from assay.runner.graphs.onnx_graph import GraphNode
from assay.runner.graphs.quantized_graph import CODED, HALF, INTEGER, Pair, transposes
from assay.runner.quality.codes import bits, decode, in_order, is_float, limits
from assay.runner.tensors import Array

_LEVELS = 65_536
_AHEAD = 1 << 24
"""Bytes of constants that are evaluated together."""
_PRODUCTS = ("MatMul", "Gemm")


@dataclass(frozen=True, slots=True)
class Weight:
    """A constant operand that is not held as the original holds it."""

    node: str
    op_type: str
    tensor: str
    """The original's name of it."""
    operand: int
    expected: Array
    actual: Array
    """What the quantized graph computes with, in float32."""
    scheme: str
    stored_bytes: int
    levels: int
    """Codes that stand for a finite value; 0 where there are too many to count."""
    used_levels: int
    scales: Array | None
    precision: float
    """Half a step at the largest value, relative: what rounding alone may take from it."""


def weights(pair: Pair) -> Iterator[Weight]:
    """Weights of up to 16 MB are in memory at a time (a larger one is alone), beside the files' own."""
    seen: set[tuple[str, str]] = set()
    ahead = _Ahead(pair)
    for node, twin in pair.readers():
        for actual_name, operand, how in _constant_operands(pair, node, ahead):
            if operand >= len(twin.proto.input) or twin.proto.input[operand] not in pair.original_constants:
                continue
            name = twin.proto.input[operand]
            if (name, actual_name) in seen:
                continue
            seen.add((name, actual_name))
            expected, actual = pair.original_value(name), how()
            if expected is None or actual is None or expected.dtype.kind not in "fV":
                continue
            actual = np.asarray(actual, np.float32)
            if operand == 1 and (smoothing := _smoothing(pair, node, twin)) is not None:
                actual = actual * (smoothing if transposes(node) else smoothing[:, None])
            if transposes(node) != transposes(twin):  # the quantizer turned a Gemm's weight
                actual = actual.T
            if actual.shape == expected.shape:
                found = _weight(pair, node, twin, operand, name, actual_name, expected, actual)
                if not (found.scheme.startswith("float32") and np.array_equal(expected, actual)):
                    yield found  # what is only turned or reshaped on its way (a tied embedding) was not touched


class _Ahead:
    """Evaluates the next constants together: a session for each would cost more than what it computes."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._groups: list[list[str]] = []
        held = _AHEAD + 1
        for node, _ in pair.readers():
            for name in _evaluates(pair, node):
                size = pair.quantized.sizes.get(name, _AHEAD)
                if held + size > _AHEAD:
                    self._groups.append([])
                    held = 0
                self._groups[-1].append(name)
                held += size
        self._made: dict[str, Array] = {}

    def value(self, name: str) -> Array:
        if name not in self._made:
            group = next(some for some in self._groups if name in some)
            self._made = self._pair.values(list(dict.fromkeys(group)))
        return self._made[name]


def _evaluates(pair: Pair, node: GraphNode) -> list[str]:
    """Operands of a node that is not on codes, which nodes above it make of initializers."""
    if node.op_type in CODED or node.op_type in INTEGER:
        return []
    return [name for name in node.proto.input if name in pair.constants and name not in pair.quantized.initializers]


def _constant_operands(pair: Pair, node: GraphNode, ahead: _Ahead) -> Iterator[tuple[str, int, Any]]:
    """(tensor, the original's operand, how to get its values) of operands that are constant and coded."""
    reads, stored = node.proto.input, pair.quantized.initializers
    if node.op_type in CODED:
        for codes, scale, zero, operand in CODED[node.op_type]:
            if codes < len(reads) and reads[codes] in stored:
                yield reads[codes], operand, lambda c=codes, s=scale, z=zero: _decoded(pair, node, c, s, z)
    elif node.op_type in INTEGER:
        if reads[1] in stored:
            yield reads[1], 1, lambda: _decoded_integer(pair, node)
    else:
        for operand, name in enumerate(reads):
            if name in stored and stored[name].data_type in HALF:
                yield name, operand, lambda n=name: pair.value(n)
            elif name in pair.constants and name not in stored:
                yield name, operand, lambda n=name: ahead.value(n)


def _decoded(pair: Pair, node: GraphNode, codes: int, scale: int, zero: int) -> Array | None:
    values = [pair.value(node.proto.input[i]) for i in (codes, scale, zero)]
    if values[0] is None or values[1] is None:
        return None
    return decode(values[0], values[1], values[2], 0 if "Conv" in node.op_type else -1)


def _decoded_integer(pair: Pair, node: GraphNode) -> Array | None:
    """The scale is not an input of an integer product.

    It is multiplied into what comes out, by the quantizer's naming.
    """
    name = node.proto.input[1]
    scale = pair.value(name.removesuffix("_quantized") + "_scale")
    codes = pair.value(name)
    zero = pair.value(node.proto.input[3]) if len(node.proto.input) > 3 else None
    if scale is None or codes is None:
        return None
    return decode(codes, scale, zero, 0 if node.op_type == "ConvInteger" else -1)


def _smoothing(pair: Pair, node: GraphNode, twin: GraphNode) -> Array | None:
    """What the activation is multiplied by on its way into a product that the original does not scale.

    Activation-aware quantizers (AWQ, SmoothQuant) move scales between the two operands: the product is the same, so
    each row of the weight is read times the scale of the activation that it meets. Where the scale was folded into a
    node before, it is not seen here.
    """
    if node.op_type not in _PRODUCTS or twin.op_type not in _PRODUCTS:
        return None
    made = pair.quantized.producer.get(node.proto.input[0])
    while made is not None and made.op_type in ("Cast", "DequantizeLinear", "QuantizeLinear"):
        made = pair.quantized.producer.get(made.proto.input[0])
    if made is None or made.op_type != "Mul" or pair.twin(made) is not None:
        return None
    scales = [value for name in made.proto.input if (value := pair.value(name)) is not None]
    return np.asarray(scales[0], np.float32).reshape(-1) if len(scales) == 1 and scales[0].size > 1 else None


def _weight(
    pair: Pair,
    node: GraphNode,
    twin: GraphNode,
    operand: int,
    name: str,
    actual_name: str,
    expected: Array,
    actual: Array,
) -> Weight:
    leaves = _leaves(pair, actual_name)
    stored = [tensor for tensor in leaves if int(np.prod(tensor.dims, dtype=np.int64)) > 1]
    whole = max(leaves, key=lambda tensor: int(np.prod(tensor.dims, dtype=np.int64)))
    codes, held_as = _codes(pair, actual_name, whole)
    scales = _scales(pair, actual_name, node)
    grain = _grain(pair, actual_name, scales)
    levels = _levels(codes.dtype)
    return Weight(
        node=twin.name, op_type=twin.op_type, tensor=name, operand=operand, expected=expected, actual=actual,
        scheme=f"{codes.dtype.name} {grain}{held_as}", stored_bytes=sum(_stored(tensor) for tensor in stored or [whole]), levels=levels,
        used_levels=np.unique(codes.view(np.uint8) if codes.dtype.itemsize == 1 else codes).size if levels else 0, scales=scales, precision=_precision(codes.dtype),
    )  # fmt: skip


def _grain(pair: Pair, name: str, scales: Array | None) -> str:
    """How many scales there are; what is looked up or computed by other operators is a codebook."""
    if scales is not None:
        return "per tensor" if scales.size == 1 else f"{scales.size} scales"
    made_by = {node.op_type for node in pair.above(name)}
    return (
        "codebook" if made_by - {"QuantizeLinear", "DequantizeLinear", "Cast", "Transpose", "Reshape"} else "per tensor"
    )


def _codes(pair: Pair, name: str, whole: Any) -> tuple[Array, str]:
    """The codes of a weight, and what the file holds in their place where it quantizes a float weight each time."""
    for node in pair.above(name):
        if node.op_type == "QuantizeLinear" and len(node.proto.input) > 2:
            made, zero = pair.value(node.proto.output[0]), pair.value(node.proto.input[2])
            if made is not None and zero is not None:
                held: Array = onnx.numpy_helper.to_array(whole)
                codes = made.view(zero.dtype) if made.dtype.itemsize == zero.dtype.itemsize else made
                return codes, f", stored as {held.dtype.name}"
    return onnx.numpy_helper.to_array(whole), ""


def _precision(dtype: Any) -> float:
    if is_float(dtype):
        return float(ml_dtypes.finfo(dtype).eps) / 2
    return 1 / max(1.0, 2 * limits(dtype)[1])


def _levels(dtype: Any) -> int:
    """Codes that stand for a finite value; 0 for types of which there are too many to count."""
    if is_float(dtype):
        return in_order(dtype.name)[1] if dtype.itemsize == 1 else 0
    return 2 ** bits(dtype) if 2 ** bits(dtype) <= _LEVELS else 0


def _leaves(pair: Pair, name: str) -> list[Any]:
    """The initializers that a constant is made of.

    The scale and zero point of codes that a node reads itself with them.
    """
    stored = pair.quantized.initializers
    if name in stored:
        root = name.removesuffix("_quantized")
        return [stored[n] for n in (name, f"{root}_scale", f"{root}_zero_point") if n in stored]
    return [stored[read] for node in pair.above(name) for read in node.reads if read in stored]


def _scales(pair: Pair, name: str, node: GraphNode) -> Array | None:
    producer = pair.quantized.producer.get(name)
    if producer is not None and producer.op_type == "Cast":
        producer = pair.quantized.producer.get(producer.proto.input[0])
    if producer is not None and producer.op_type == "DequantizeLinear":
        return pair.value(producer.proto.input[1])
    if node.op_type in (*CODED, *INTEGER):
        return pair.value(name.removesuffix("_quantized") + "_scale")
    return None


def _stored(tensor: Any) -> int:
    elements = int(np.prod(tensor.dims, dtype=np.int64))
    return (elements * bits(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)) + 7) // 8
