"""Where a quantized ONNX graph differs from its float original: every operand that is held in codes, beside the original's tensor.

A quantized node keeps its name, or carries the quantizer's suffix; operands are matched by the node that reads them, not by tensors' names, because
quantizers rename tensors and fold a ReLU into the range of the one before it. Weights are what the constant part of the graph evaluates to (so
asymmetric, per-channel, blockwise and codebook layouts need no code of their own); activations are read as codes, from the kernels that run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from runner.divergence.onnx_graph import Graph, Node, load, part
from runner.tensors import Array, Tensors

_CODED = {
    "QLinearConv": ((0, 1, 2, 0), (3, 4, 5, 1)), "QLinearMatMul": ((0, 1, 2, 0), (3, 4, 5, 1)), "QGemm": ((0, 1, 2, 0), (3, 4, 5, 1)),
    "QLinearAdd": ((0, 1, 2, 0), (3, 4, 5, 1)), "QLinearMul": ((0, 1, 2, 0), (3, 4, 5, 1)),
    "QLinearSigmoid": ((0, 1, 2, 0),), "QLinearLeakyRelu": ((0, 1, 2, 0),), "QLinearSoftmax": ((0, 1, 2, 0),),
    "QLinearGlobalAveragePool": ((0, 1, 2, 0),), "QLinearAveragePool": ((0, 1, 2, 0),),
}  # fmt: skip
"""Operators on codes -> for each operand: where its codes, scale and zero point are, and which operand of the original it is."""
_INTEGER = ("MatMulInteger", "ConvInteger")
_GLUE = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Cast")
_SUFFIXES = ("_MatMul_quant", "_quant", "_Q4", "_Q8")
_LEVELS = 65_536


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
    """What the quantized graph computes with."""
    scheme: str
    stored_bytes: int
    levels: int
    """Values that the codes could stand for; 0 where unknown."""
    used_levels: int
    scales: Array | None


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

    @property
    def reads(self) -> list[str]:
        """What has to be read while running."""
        return [name for name in (self.codes, self.scale, self.zero_point) if isinstance(name, str)]


class Pair:
    """A quantized graph and its float original."""

    def __init__(self, original: Path, quantized: Path, inputs: Tensors) -> None:
        self._float, self._quantized = load(original, inputs), load(quantized, inputs)
        self._by_name = {node.name: node for node in self._float.nodes}
        self._constants = _constants(self._quantized)
        self._float_constants = _constants(self._float)

    def _twin(self, node: Node) -> Node | None:
        """The original's node of this one."""
        for suffix in ("", *_SUFFIXES):
            if node.name.endswith(suffix) and (found := self._by_name.get(node.name[: len(node.name) - len(suffix)])):
                return found
        return None

    def _readers(self) -> Iterator[tuple[Node, Node]]:
        for node in self._quantized.nodes:
            if node.op_type not in _GLUE and not self._constants.issuperset(node.writes) and (twin := self._twin(node)):
                yield node, twin

    def weights(self) -> Iterator[Weight]:
        """One weight at a time is in memory, beside the file's own."""
        seen: set[tuple[str, str]] = set()
        for node, twin in self._readers():
            for actual_name, operand, how in self._constant_operands(node):
                if operand >= len(twin.proto.input) or twin.proto.input[operand] not in self._float_constants:
                    continue
                name = twin.proto.input[operand]
                if (name, actual_name) in seen:
                    continue
                seen.add((name, actual_name))
                expected, actual = self._value(self._float, name), how()
                if expected is None or actual is None or expected.dtype.kind not in "fV":
                    continue
                if _transposes(node) != _transposes(
                    twin
                ):  # the quantizer turned a Gemm's weight for an integer product
                    actual = actual.T
                if actual.shape == expected.shape:
                    yield self._weight(node, twin, operand, name, actual_name, expected, actual)

    def _constant_operands(self, node: Node) -> Iterator[tuple[str, int, Any]]:
        """(tensor, the original's operand, how to get its values) of operands that are constant and coded."""
        reads = node.proto.input
        if node.op_type in _CODED:
            for codes, scale, zero, operand in _CODED[node.op_type]:
                if codes < len(reads) and reads[codes] in self._quantized.initializers:
                    yield reads[codes], operand, lambda c=codes, s=scale, z=zero: self._decoded(node, c, s, z)
        elif node.op_type in _INTEGER:
            if reads[1] in self._quantized.initializers:
                yield reads[1], 1, lambda: self._decoded_integer(node)
        else:
            for operand, name in enumerate(reads):
                if name in self._constants and name not in self._quantized.initializers:
                    yield name, operand, lambda n=name: self._value(self._quantized, n)

    def _decoded(self, node: Node, codes: int, scale: int, zero: int) -> Array | None:
        values = [self._value(self._quantized, node.proto.input[i]) for i in (codes, scale, zero)]
        if values[0] is None or values[1] is None:
            return None
        return decode(values[0], values[1], values[2], 0 if "Conv" in node.op_type else -1)

    def _decoded_integer(self, node: Node) -> Array | None:
        """The scale is not an input of an integer product: it is multiplied into what comes out, by the quantizer's naming."""
        name = node.proto.input[1]
        scale = self._value(self._quantized, name.removesuffix("_quantized") + "_scale")
        codes = self._value(self._quantized, name)
        zero = self._value(self._quantized, node.proto.input[3]) if len(node.proto.input) > 3 else None
        if scale is None or codes is None:
            return None
        return decode(codes, scale, zero, 0 if node.op_type == "ConvInteger" else -1)

    def _weight(
        self, node: Node, twin: Node, operand: int, name: str, actual_name: str, expected: Array, actual: Array
    ) -> Weight:
        leaves = self._leaves(actual_name)
        stored = [tensor for tensor in leaves if int(np.prod(tensor.dims, dtype=np.int64)) > 1]
        whole = max(leaves, key=lambda tensor: int(np.prod(tensor.dims, dtype=np.int64)))
        dtype = onnx.helper.tensor_dtype_to_np_dtype(whole.data_type)
        scales = self._scales(actual_name, node)
        grain = "per tensor" if scales is None or scales.size == 1 else f"{scales.size} scales"
        levels = 2 ** _bits(whole.data_type) if dtype.kind in "iu" or "int" in dtype.name else 0
        coded = onnx.numpy_helper.to_array(whole) if levels and levels <= _LEVELS else None
        return Weight(
            node=twin.name, op_type=twin.op_type, tensor=name, operand=operand, expected=expected, actual=actual,
            scheme=f"{dtype.name} {grain}", stored_bytes=sum(_stored(tensor) for tensor in stored), levels=levels if coded is not None else 0,
            used_levels=int(np.unique(coded.astype(np.int64)).size) if coded is not None else 0, scales=scales,
        )  # fmt: skip

    def _leaves(self, name: str) -> list[Any]:
        """The initializers that a constant is made of; the scale and zero point of codes that a node reads itself with them."""
        if name in self._quantized.initializers:
            root = name.removesuffix("_quantized")
            beside = (f"{root}_scale", f"{root}_zero_point")
            return [self._quantized.initializers[n] for n in (name, *beside) if n in self._quantized.initializers]
        return [
            self._quantized.initializers[read]
            for node in _ancestors(self._quantized, name)
            for read in node.reads
            if read in self._quantized.initializers
        ]

    def _scales(self, name: str, node: Node) -> Array | None:
        producer = self._quantized.producer.get(name)
        if producer is not None and producer.op_type == "DequantizeLinear":
            return self._value(self._quantized, producer.proto.input[1])
        if node.op_type in (*_CODED, *_INTEGER):
            return self._value(self._quantized, name.removesuffix("_quantized") + "_scale")
        return None

    def activations(self) -> list[Activation]:
        """Every activation that passes through codes, once for each of the original's tensors, in the order they are read."""
        found: dict[str, Activation] = {}
        for node, twin in self._readers():
            for codes, scale, zero, axis, operand in self._coded_operands(node):
                name = twin.proto.input[operand] if operand < len(twin.proto.input) else ""
                if name and name not in self._float_constants:
                    self._note(found, twin, name, codes, scale, zero, axis)
        for name in self._quantized.outputs:
            producer = self._quantized.producer.get(name)
            if producer and producer.op_type == "DequantizeLinear" and (source := self._float.producer.get(name)):
                self._note(found, source, name, *self._of_pair(producer))
        return [*found.values()]

    def _note(
        self, found: dict[str, Activation], twin: Node, name: str, codes: str, scale: str, zero: str, axis: int
    ) -> None:
        known = self._value(self._quantized, scale) if scale in self._constants else scale
        offset = self._value(self._quantized, zero) if zero in self._constants else zero or None
        if known is not None:
            found.setdefault(name, Activation(twin.name, twin.op_type, name, codes, known, offset, axis))

    def _coded_operands(self, node: Node) -> Iterator[tuple[str, str, str, int, int]]:
        """(codes, scale, zero point, axis, the original's operand) of operands that depend on the inputs."""
        reads = node.proto.input
        if node.op_type in _CODED:
            for codes, scale, zero, operand in _CODED[node.op_type]:
                if codes < len(reads) and reads[codes] not in self._constants:
                    yield reads[codes], reads[scale], reads[zero] if zero < len(reads) else "", 1, operand
        elif node.op_type in _INTEGER:
            made = self._quantized.producer.get(reads[0])
            if made is not None and made.op_type == "DynamicQuantizeLinear":
                yield reads[0], made.proto.output[1], made.proto.output[2], 1, 0
        else:
            for operand, name in enumerate(reads):
                producer = self._quantized.producer.get(name)
                if producer is not None and producer.op_type == "DequantizeLinear" and name not in self._constants:
                    yield *self._of_pair(producer), operand

    def _of_pair(self, dequantize: Node) -> tuple[str, str, str, int]:
        reads = dequantize.proto.input
        axis = next((a.i for a in dequantize.proto.attribute if a.name == "axis"), 1)
        return reads[0], reads[1], reads[2] if len(reads) > 2 else "", axis

    def _value(self, graph: Graph, name: str) -> Array | None:
        """A constant's values: an initializer's, or what the nodes above it make of initializers."""
        if name in graph.initializers:
            held: Array = onnx.numpy_helper.to_array(graph.initializers[name])
            return held
        constants = self._float_constants if graph is self._float else self._constants
        if name not in constants:
            return None
        session = ort.InferenceSession(
            part(graph, _ancestors(graph, name), {}, [name]), providers=["CPUExecutionProvider"]
        )
        made: Array = session.run([name], {})[0]
        return made


def _transposes(node: Node) -> bool:
    """Whether a Gemm reads its weight transposed."""
    return any(attribute.name == "transB" and attribute.i for attribute in node.proto.attribute)


def _constants(graph: Graph) -> set[str]:
    """Tensors that depend on initializers alone."""
    known = set(graph.initializers)
    for node in graph.nodes:
        if known.issuperset(node.reads) and not node.op_type.startswith("Random"):
            known.update(node.writes)
    return known


def _ancestors(graph: Graph, name: str) -> list[Node]:
    """The nodes that make a tensor, in order."""
    wanted, chosen = {name}, []
    for node in reversed(graph.nodes):
        if wanted.intersection(node.writes):
            chosen.append(node)
            wanted.update(node.reads)
    return chosen[::-1]


def _bits(data_type: int) -> int:
    if data_type in (onnx.TensorProto.INT4, onnx.TensorProto.UINT4):
        return 4
    return int(onnx.helper.tensor_dtype_to_np_dtype(data_type).itemsize) * 8


def _stored(tensor: Any) -> int:
    return (int(np.prod(tensor.dims, dtype=np.int64)) * _bits(tensor.data_type) + 7) // 8


def decode(codes: Array, scale: Array, zero_point: Array | None, axis: int) -> Array:
    """(codes - zero point) * scale in float32; scale and zero point are of the tensor, or run along an axis.

    Codes are widened before they are subtracted: in eight bits, 10 - 128 would wrap.
    """
    wide = codes.astype(np.int32)
    if zero_point is not None:
        wide = wide - along(zero_point.astype(np.int32), wide.ndim, axis)
    return (wide * along(scale.astype(np.float32), wide.ndim, axis)).astype(np.float32)


def encode(values: Array, scale: Array, zero_point: Array | None, axis: int, dtype: Any) -> Array:
    """Codes of values: round(values / scale) + zero point, half to even, clipped to the type."""
    limits = np.iinfo(dtype)
    rounded = np.rint(values / along(scale.astype(np.float32), values.ndim, axis))
    if zero_point is not None:
        rounded = rounded + along(zero_point.astype(np.float32), values.ndim, axis)
    return np.clip(rounded, limits.min, limits.max).astype(dtype)


def along(values: Array, ndim: int, axis: int) -> Array:
    if values.size == 1:
        return values.reshape(())
    shape = [1] * ndim
    shape[axis] = values.size
    return values.reshape(shape)
