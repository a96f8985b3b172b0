"""In which element types a graph computes: as its file says, and as the runtime rewrote it.

A product is stored in the type of its operands, or in that of their codes where DequantizeLinear stands above them.
Once a runtime has optimized the graph, the same product is an integer operator, or one in floating point: then the
codes are in the file, and integers are not what was multiplied.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from assay.runner.graphs.element_types import TypedNode
from assay.runner.graphs.precision import HALVES, WIDE, Counts

FLOATS = (*WIDE, *HALVES)
_PRODUCTS = {
    "MatMul", "Gemm", "Conv", "ConvTranspose", "Einsum", "LSTM", "GRU", "RNN", "DeformConv",
    "FusedMatMul", "TransposeMatMul", "FusedGemm", "FusedConv", "NhwcFusedConv", "GemmFastGelu", "SparseToDenseMatMul",
    "Attention", "MultiHeadAttention", "GroupQueryAttention", "DecoderMaskedSelfAttention", "PackedAttention",
    "FusedMatMulActivation", "GemmFloat8",
}  # fmt: skip
_INTEGER = {
    "MatMulInteger", "ConvInteger", "QLinearMatMul", "QLinearConv", "QGemm", "QLinearConvTranspose",
    "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM", "QAttention", "QOrderedMatMul",
    "MatMulInteger16", "QMoE",
}  # fmt: skip
_WEIGHTS_ALONE = {"MatMulNBits": "bits", "MatMulBnb4": "", "MatMulFpQ4": "", "GatherBlockQuantized": "bits"}
"""Operators on floats whose weights are codes of so many bits (4 if they do not say)."""
_EXACT = {
    "Cast", "CastLike", "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Identity", "Reshape", "Flatten",
    "Transpose", "Squeeze", "Unsqueeze", "Slice", "Split", "Concat", "Gather", "GatherND", "GatherElements", "Expand",
    "Tile", "Pad", "Shape", "Size", "Constant", "ConstantOfShape", "Where", "ScatterND", "ScatterElements", "Scatter",
    "DepthToSpace", "SpaceToDepth", "MaxPool", "GlobalMaxPool", "Relu", "Neg", "Abs", "Max", "Min", "Clip", "Sign",
    "ReduceMax", "ReduceMin", "TopK", "ArgMax", "ArgMin", "NonZero", "Compress", "ReverseSequence", "Trilu", "Floor",
    "Ceil", "Round", "IsNaN", "IsInf", "Dropout", "If", "Loop", "Scan", "MemcpyToHost", "MemcpyFromHost", "OneHot",
    "CenterCropPad", "TensorScatter", "SequenceConstruct", "SequenceAt", "ConcatFromSequence", "SplitToSequence",
}  # fmt: skip
"""Nodes that round nothing: the same in any type that holds their operands, or no arithmetic at all."""
_THROUGH = {
    "Identity",
    "Reshape",
    "Flatten",
    "Transpose",
    "Squeeze",
    "Unsqueeze",
    "Slice",
    "Split",
    "Expand",
    "MaxPool",
}
"""What codes pass through on their way to a product."""


@dataclass(slots=True)
class Arithmetic:
    """Nodes by the element type that they compute in; `float32 (int4 weights)` where weights alone are codes."""

    products: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)
    """Everything else that rounds."""

    def facts(self) -> Counts:
        """The same as an event carries it."""
        return {"products": dict(self.products), "others": dict(self.others)}


def is_narrow(nodes: Iterable[TypedNode]) -> bool:
    """Whether anything is held in fewer than 32 bits to compute with: halves, float8, codes."""
    return any(
        kind in HALVES or kind.startswith(("float8", "float4", "int4", "uint4", "int2", "uint2"))
        for node in nodes
        for kind in (*node.reads, *node.writes)
        if kind
    ) or any(node.proto.op_type in _INTEGER | set(_WEIGHTS_ALONE) | {"DequantizeLinear"} for node in nodes)


def stored(nodes: Iterable[TypedNode]) -> Arithmetic:
    """As the file says: a product between DequantizeLinear nodes is one of codes."""
    return _counted(nodes, codes_multiply=True)


def executed(nodes: Iterable[TypedNode]) -> Arithmetic:
    """As an optimized graph runs: what DequantizeLinear gives is multiplied in floating point."""
    return _counted(nodes, codes_multiply=False)


def _counted(nodes: Iterable[TypedNode], *, codes_multiply: bool) -> Arithmetic:
    made, codes = Arithmetic(), dict[str, str]()
    for node in nodes:
        kind, proto = node.proto.op_type, node.proto
        if kind == "DequantizeLinear":
            codes[proto.output[0]] = _code(node.reads[0])
        elif kind in _THROUGH and proto.input[0] in codes:
            codes.update(dict.fromkeys(proto.output, codes[proto.input[0]]))
        if node.constant or kind in _EXACT:
            continue
        if kind in _PRODUCTS or kind in _INTEGER or kind in _WEIGHTS_ALONE:
            made.products[_product(node, codes, codes_multiply=codes_multiply)] += 1
        elif not kind.startswith("QLinear") and (computed := next((r for r in node.reads if r in FLOATS), None)):
            made.others[computed] += 1
    return made


def _product(node: TypedNode, codes: dict[str, str], *, codes_multiply: bool) -> str:
    kind, proto = node.proto.op_type, node.proto
    if kind in _INTEGER:
        return "int8"
    floating = next((read for read in node.reads if read in FLOATS), None) or str(node.reads[0])
    if kind in _WEIGHTS_ALONE:
        bits = next((a.i for a in proto.attribute if a.name == _WEIGHTS_ALONE[kind]), 4)
        return f"{floating} (int{bits} weights)"
    operands = [codes.get(name) for name in proto.input[:2]]
    if codes_multiply and operands[0] and operands[-1]:
        return max(operands[0], str(operands[-1]), key=_bits)
    if coded := next((code for code in reversed(operands) if code), None):
        return f"{floating} ({coded} weights)" if operands[-1] else floating
    return floating


def _code(kind: str | None) -> str:
    """`int8` of int8 and uint8, `float8` of all its formats."""
    name = (kind or "unknown").removeprefix("u")
    return name[: len("float8")] if name.startswith(("float8", "float4")) else name


def _bits(name: str) -> int:
    return int(next((n for n in ("16", "32", "8", "4", "2") if name.endswith(n)), 8))
