"""The activations that pass through codes in a quantized graph.

Where to read them while it runs, and what the codes mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from assay.runner.graphs.onnx_graph import GraphNode
from assay.runner.graphs.quantized_graph import CODED, HALF, INTEGER, Pair
from assay.runner.tensors import Array


@dataclass(frozen=True, slots=True)
class Activation:
    """An operand, or an output, whose values pass through codes."""

    node: str
    op_type: str
    tensor: str
    codes: str
    """The quantized graph's tensor of codes."""
    scale: Array | str
    """Values, or the tensor that has them where ranges are found while running."""
    zero_point: Array | str | None
    axis: int
    dtype: Any
    """Of the codes; None where the run tells."""
    kind: str = "activation"
    """`output` where a float result of coded weights is looked at, which is itself not in codes."""

    @property
    def reads(self) -> list[str]:
        """What has to be read while running."""
        return [name for name in (self.codes, self.scale, self.zero_point) if isinstance(name, str)]


def activations(pair: Pair) -> list[Activation]:
    """Every activation that passes through codes, once for each of the original's tensors, in the order they are read.

    A value in 16 bits is a code too: its scale is 1. Where only weights are in codes, the results of the nodes that
    read them are listed
    last, as `output`.
    """
    found: dict[str, Activation] = {}
    for node, twin in pair.readers():
        for codes, scale, zero, axis, operand in _coded_operands(pair, node):
            name = twin.proto.input[operand] if operand < len(twin.proto.input) else ""
            if name and name not in pair.original_constants:
                _note(pair, found, twin, name, codes, scale, zero, axis)
        for operand, codes in enumerate(node.proto.input[: len(twin.proto.input)]):
            name = twin.proto.input[operand]
            if codes not in pair.constants and name not in pair.original_constants:
                _note_half(pair, found, twin, name, codes)
    for name in pair.quantized.outputs:
        producer, source = pair.quantized.producer.get(name), pair.original.producer.get(name)
        if producer and source and producer.op_type == "DequantizeLinear":
            _note(pair, found, source, name, *_of_pair(producer))
        elif producer and source and producer.op_type == "Cast":
            _note_half(pair, found, source, name, producer.proto.input[0])
    _note_outputs(pair, found)
    return [*found.values()]


def _note_outputs(pair: Pair, found: dict[str, Activation]) -> None:
    for node, twin in pair.readers():
        made, name = node.proto.output[0], twin.proto.output[0]
        float_input = twin.proto.input[0] not in found
        if float_input and node.op_type == twin.op_type and name not in found and _weighs(pair, node):
            one = np.ones((), np.float32)
            found[name] = Activation(twin.name, twin.op_type, name, made, one, None, 1, np.dtype(np.float32), "output")


def _weighs(pair: Pair, node: GraphNode) -> bool:
    """Whether a node multiplies a float input by a constant that is held in codes, and gives floats."""
    held = [
        name for name in node.proto.input[1:2] if name in pair.constants and name not in pair.quantized.initializers
    ]
    return bool(held) and pair.quantized.types.get(node.proto.output[0]) == onnx.TensorProto.FLOAT


def _note(
    pair: Pair, found: dict[str, Activation], twin: GraphNode, name: str, codes: str, scale: str, zero: str, axis: int
) -> None:
    known = pair.value(scale) if scale in pair.constants else scale
    offset = pair.value(zero) if zero in pair.constants else zero or None
    if known is not None:
        dtype = offset.dtype if isinstance(offset, np.ndarray) else None
        found.setdefault(name, Activation(twin.name, twin.op_type, name, codes, known, offset, axis, dtype))


def _note_half(pair: Pair, found: dict[str, Activation], twin: GraphNode, name: str, codes: str) -> None:
    """Where the original has 32 bits and this graph 16."""
    kind = pair.quantized.types.get(codes)
    if kind in HALF and pair.original.types.get(name, onnx.TensorProto.FLOAT) == onnx.TensorProto.FLOAT:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind)
        one = np.ones((), np.float32)
        found.setdefault(name, Activation(twin.name, twin.op_type, name, codes, one, None, 1, dtype))


def _coded_operands(pair: Pair, node: GraphNode) -> Iterator[tuple[str, str, str, int, int]]:
    """(codes, scale, zero point, axis, the original's operand) of operands that depend on the inputs."""
    reads = node.proto.input
    if node.op_type in CODED:
        for codes, scale, zero, operand in CODED[node.op_type]:
            if codes < len(reads) and reads[codes] not in pair.constants:
                yield reads[codes], reads[scale], reads[zero] if zero < len(reads) else "", 1, operand
    elif node.op_type in INTEGER:
        made = pair.quantized.producer.get(reads[0])
        if made is not None and made.op_type == "DynamicQuantizeLinear":
            yield reads[0], made.proto.output[1], made.proto.output[2], 1, 0
    else:
        for operand, name in enumerate(reads):
            producer = pair.quantized.producer.get(name)
            if producer is not None and producer.op_type == "Cast":  # from the scale's type to the rest's
                producer = pair.quantized.producer.get(producer.proto.input[0])
            if producer is not None and producer.op_type == "DequantizeLinear" and name not in pair.constants:
                yield *_of_pair(producer), operand


def _of_pair(dequantize: GraphNode) -> tuple[str, str, str, int]:
    reads = dequantize.proto.input
    axis = next((a.i for a in dequantize.proto.attribute if a.name == "axis"), 1)
    return reads[0], reads[1], reads[2] if len(reads) > 2 else "", axis
