"""A quantized ONNX graph beside its float original: which node is which, and what is constant in either.

A quantized node keeps its name, or carries the quantizer's suffix; operands are matched by the node that reads them,
not by tensors' names, because quantizers rename tensors and fold a ReLU into the range of the one before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import onnx
import onnxruntime as ort

from assay.runner.graphs.onnx_graph import Graph, GraphNode, load, part
from assay.runner.tensors import Array, Tensors

CODED = {
    "QLinearConv": ((0, 1, 2, 0), (3, 4, 5, 1)), "QLinearMatMul": ((0, 1, 2, 0), (3, 4, 5, 1)), "QGemm": ((0, 1, 2, 0), (3, 4, 5, 1)),
    "QLinearAdd": ((0, 1, 2, 0), (3, 4, 5, 1)), "QLinearMul": ((0, 1, 2, 0), (3, 4, 5, 1)),
    "QLinearSigmoid": ((0, 1, 2, 0),), "QLinearLeakyRelu": ((0, 1, 2, 0),), "QLinearSoftmax": ((0, 1, 2, 0),),
    "QLinearGlobalAveragePool": ((0, 1, 2, 0),), "QLinearAveragePool": ((0, 1, 2, 0),),
}  # fmt: skip
"""Operators on codes -> for each operand: where its codes, scale and zero point are, and which operand of the original
it is."""
INTEGER = ("MatMulInteger", "ConvInteger")
HALF = (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)
_GLUE = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Cast")
SUFFIXES = ("_MatMul_quant", "_quant", "_Q4", "_Q8")


class Pair:
    """A quantized graph and its float original."""

    def __init__(self, original: Path, quantized: Path, inputs: Tensors) -> None:
        self.original, self.quantized = load(original, inputs), load(quantized, inputs)
        self._by_name = {node.name: node for node in self.original.nodes}
        self.constants = _constants(self.quantized)
        """Tensors of the quantized graph that depend on no input."""
        self.original_constants = _constants(self.original)

    def twin(self, node: GraphNode) -> GraphNode | None:
        """The original's node of one of the quantized graph."""
        for suffix in ("", *SUFFIXES):
            if node.name.endswith(suffix) and (found := self._by_name.get(node.name[: len(node.name) - len(suffix)])):
                return found
        return None

    def readers(self) -> Iterator[tuple[GraphNode, GraphNode]]:
        """Nodes that compute on the inputs, each with the original's."""
        for node in self.quantized.nodes:
            if node.op_type not in _GLUE and not self.constants.issuperset(node.writes) and (twin := self.twin(node)):
                yield node, twin

    def original_value(self, name: str) -> Array | None:
        """A constant of the original, or None."""
        return _value(self.original, self.original_constants, name)

    def value(self, name: str) -> Array | None:
        """A constant of the quantized graph: an initializer, or what the nodes above it make of initializers.

        Else None.
        """
        return _value(self.quantized, self.constants, name)

    def values(self, names: Sequence[str]) -> dict[str, Array]:
        """Constants of the quantized graph that are no initializers, evaluated together."""
        return _evaluated(self.quantized, names)

    def above(self, name: str) -> list[GraphNode]:
        """The nodes of the quantized graph that make a tensor, in order."""
        return _ancestors(self.quantized, [name])


def transposes(node: GraphNode) -> bool:
    """Whether a Gemm reads its weight transposed."""
    return any(attribute.name == "transB" and attribute.i for attribute in node.proto.attribute)


def _value(graph: Graph, constants: set[str], name: str) -> Array | None:
    if name in graph.initializers:
        held: Array = onnx.numpy_helper.to_array(graph.initializers[name])
        return held
    return _evaluated(graph, [name])[name] if name in constants else None


def _evaluated(graph: Graph, names: Sequence[str]) -> dict[str, Array]:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(
        part(graph, _ancestors(graph, names), {}, names), options, providers=["CPUExecutionProvider"]
    )
    return dict(zip(names, session.run(list(names), {}), strict=True))


def _constants(graph: Graph) -> set[str]:
    """Tensors that depend on initializers alone."""
    known = set(graph.initializers)
    for node in graph.nodes:
        if known.issuperset(node.reads) and not node.op_type.startswith("Random"):
            known.update(node.writes)
    return known


def _ancestors(graph: Graph, names: Sequence[str]) -> list[GraphNode]:
    wanted, chosen = set(names), []
    for node in reversed(graph.nodes):
        if wanted.intersection(node.writes):
            chosen.append(node)
            wanted.update(node.reads)
    return chosen[::-1]
