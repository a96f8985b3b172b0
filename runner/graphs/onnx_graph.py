"""An ONNX graph as a list of nodes that can be cut anywhere.

What each reads, how large its tensors are, which layer it is.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, shape_inference

from assay.runner.graphs import inlined
from assay.runner.tensors import Array, Tensors

_SMALL = 1024
"""Initializers of up to this many bytes stay for shape inference, which reads the values of shapes."""
_NOT_DATA = {"Shape", "Size", "ConstantOfShape", "Constant"}
"""Their outputs do not depend on the values that go in."""


@dataclass(frozen=True, slots=True)
class GraphNode:
    """One node, its captured outer names included in what it reads."""

    index: int
    proto: Any
    reads: tuple[str, ...]
    writes: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.proto.name or f"{self.proto.op_type}_{self.index}"

    @property
    def op_type(self) -> str:
        return str(self.proto.op_type)

    @property
    def layer(self) -> str | None:
        """The module that it came from: the exporter's scopes, or the path in an older exporter's name."""
        for entry in self.proto.metadata_props:
            if entry.key == "pkg.torch.onnx.name_scopes":
                scopes = [scope for scope in ast.literal_eval(entry.value) if scope]
                return scopes[-2] if len(scopes) > 1 else None
        path = self.proto.name.strip("/").split("/")
        return ".".join(path[:-1]) or None if self.proto.name.startswith("/") else None


@dataclass
class Graph:
    """A loaded model, its nodes in the order of execution."""

    model: Any
    nodes: list[GraphNode]
    initializers: dict[str, Any]
    inputs: list[str]
    outputs: list[str]
    sizes: dict[str, int] = field(default_factory=dict)
    """Bytes of each tensor for the inputs at hand, where inference tells."""
    types: dict[str, int] = field(default_factory=dict)
    """ONNX element type of each tensor, where inference tells."""

    @cached_property
    def producer(self) -> dict[str, GraphNode]:
        return {name: node for node in self.nodes for name in node.writes}

    @cached_property
    def _by_name(self) -> dict[str, list[GraphNode]]:
        found: dict[str, list[GraphNode]] = {}
        for node in self.nodes:
            found.setdefault(node.name, []).append(node)
        return found

    def named(self, names: Iterable[str]) -> list[GraphNode]:
        """Nodes of these names, in the order of execution."""
        found = [node for name in dict.fromkeys(names) for node in self._by_name.get(name, ())]
        return sorted(found, key=lambda node: node.index)

    def bytes_of(self, name: str) -> int:
        """Estimated bytes; an unknown tensor counts like the largest input."""
        return self.sizes.get(name, max((self.sizes.get(i, 0) for i in self.inputs), default=0))

    def data_dependent(self) -> set[str]:
        """Tensors whose values depend on the values of the graph's inputs, not only on their shapes."""
        known = set(self.inputs)
        for node in self.nodes:
            if node.op_type not in _NOT_DATA and known.intersection(node.reads):
                known.update(node.writes)
        return known

    def last_use(self) -> dict[str, int]:
        """Tensor -> index of the last node that reads it; outputs of the graph live to the end."""
        last = {name: node.index for node in self.nodes for name in node.reads}
        return {**last, **dict.fromkeys(self.outputs, len(self.nodes))}

    def peak_live_bytes(self) -> int:
        """Largest sum of tensors that are alive at one node, when each is dropped after its last use."""
        last, live, peak = self.last_use(), sum(self.bytes_of(name) for name in self.inputs), 0
        ends: dict[int, list[str]] = {}
        for name, index in last.items():
            ends.setdefault(index, []).append(name)
        for node in self.nodes:
            live += sum(self.bytes_of(name) for name in node.writes)
            peak = max(peak, live)
            live -= sum(self.bytes_of(name) for name in ends.get(node.index, []) if name not in self.initializers)
        return peak


def load(path: Path, inputs: Tensors) -> Graph:
    """Read a model, its local functions inlined, with the size of every tensor for these inputs."""
    model = inlined.load(path)
    initializers = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes = [
        GraphNode(index, proto, tuple(dict.fromkeys(_reads(proto))), tuple(name for name in proto.output if name))
        for index, proto in enumerate(model.graph.node)
    ]
    graph = Graph(
        model,
        nodes,
        initializers,
        [i.name for i in model.graph.input if i.name not in initializers],
        [o.name for o in model.graph.output],
    )
    graph.sizes, graph.types = _sizes_and_types(graph, inputs)
    return graph


def _reads(proto: Any) -> Iterator[str]:
    """Names a node reads, from outside it; inner graphs capture names by using them."""
    yield from (name for name in proto.input if name)
    for attribute in proto.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            inner = attribute.g
            own = (
                {i.name for i in inner.input}
                | {t.name for t in inner.initializer}
                | {o for n in inner.node for o in n.output}
            )
            yield from (name for node in inner.node for name in _reads(node) if name not in own)
            yield from (output.name for output in inner.output if output.name not in own)


def _sizes_and_types(graph: Graph, inputs: Tensors) -> tuple[dict[str, int], dict[str, int]]:
    """By shape inference on the graph without its weights, its inputs having the shapes at hand."""
    bare = onnx.ModelProto()
    bare.CopyFrom(_without_weights(graph))
    for port in bare.graph.input:
        if port.name in inputs:
            port.CopyFrom(_typed(port.name, inputs[port.name], shaped=True))
    try:
        inferred = shape_inference.infer_shapes(bare, data_prop=True)
    except Exception:  # noqa: BLE001  inference is an estimate: a custom operator must not end the walk
        inferred = bare
    sizes = {name: array.nbytes for name, array in inputs.items()}
    types = {tensor.name: tensor.data_type for tensor in graph.initializers.values()}
    for info in (*inferred.graph.value_info, *inferred.graph.output):
        tensor = info.type.tensor_type
        types[info.name] = tensor.elem_type
        dims = [d.dim_value for d in tensor.shape.dim if d.HasField("dim_value")]
        if tensor.elem_type and len(dims) == len(tensor.shape.dim):
            sizes[info.name] = (
                int(np.prod(dims, dtype=np.int64)) * helper.tensor_dtype_to_np_dtype(tensor.elem_type).itemsize
            )
    return sizes, types


def _without_weights(graph: Graph) -> Any:
    bare = onnx.ModelProto(ir_version=graph.model.ir_version)
    bare.opset_import.extend(graph.model.opset_import)
    bare.graph.name = "sizes"
    bare.graph.node.extend(graph.model.graph.node)
    bare.graph.input.extend(graph.model.graph.input)
    bare.graph.output.extend(graph.model.graph.output)
    for tensor in graph.initializers.values():
        if tensor.ByteSize() <= _SMALL:
            bare.graph.initializer.append(tensor)
        else:
            bare.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    return bare


def _typed(name: str, array: Array, *, shaped: bool = False) -> Any:
    return helper.make_tensor_value_info(
        name, helper.np_dtype_to_tensor_dtype(array.dtype), list(array.shape) if shaped else None
    )


def segments(graph: Graph, budget: int) -> list[list[GraphNode]]:
    """Nodes in runs whose outputs fit into a budget of bytes; a node that does not fit alone is a run of its own."""
    runs: list[list[GraphNode]] = []
    held = budget + 1
    for node in graph.nodes:
        size = sum(graph.bytes_of(name) for name in node.writes)
        if held + size > budget or not runs:
            runs.append([])
            held = 0
        runs[-1].append(node)
        held += size
    return runs


def part(
    graph: Graph,
    nodes: Sequence[GraphNode],
    inputs: Mapping[str, Array],
    outputs: Iterable[str],
    rename: Mapping[str, str] | None = None,
) -> bytes:
    """A model of some nodes, serialised: `inputs` are its inputs, `outputs` what it gives.

    `rename` replaces what nodes read (never what they write), which is how a node is fed something else.
    """
    made = onnx.ModelProto(ir_version=graph.model.ir_version)
    made.opset_import.extend(graph.model.opset_import)
    made.graph.name = "part"
    used: set[str] = set()
    for node in nodes:
        proto = made.graph.node.add()
        proto.CopyFrom(node.proto)
        proto.ClearField("metadata_props")
        if rename:
            _rename_reads(proto, rename)
        used.update(_reads(proto))
    made.graph.initializer.extend(graph.initializers[name] for name in sorted(used & set(graph.initializers)))
    made.graph.input.extend(_typed(name, array) for name, array in inputs.items() if name in used)
    made.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
    return bytes(made.SerializeToString())


def _rename_reads(proto: Any, rename: Mapping[str, str]) -> None:
    for position, name in enumerate(proto.input):
        proto.input[position] = rename.get(name, name)
    for attribute in proto.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            own = {o for n in attribute.g.node for o in n.output} | {i.name for i in attribute.g.input}
            outer = {old: new for old, new in rename.items() if old not in own}
            for node in attribute.g.node:
                _rename_reads(node, outer)
            for output in attribute.g.output:
                output.name = outer.get(output.name, output.name)


def reduction_length(graph: Graph, node: GraphNode, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """How many products or terms one output element of a node adds up; 1 for elementwise operators."""
    shape = shapes.get(node.reads[0]) if node.reads else None
    if shape is None:
        return 1
    if node.op_type in ("MatMul", "MatMulInteger", "QLinearMatMul"):
        return shape[-1] if shape else 1
    if node.op_type in ("Gemm", "FusedMatMul"):
        return max(shape)
    if node.op_type in ("Conv", "ConvTranspose", "ConvInteger", "QLinearConv") and len(node.reads) > 1:
        weights = graph.initializers.get(node.reads[1])
        dims = list(weights.dims) if weights is not None else list(shapes.get(node.reads[1], ()))
        return int(np.prod(dims[1:], dtype=np.int64)) if dims else 1
    if node.op_type.startswith("Reduce") or node.op_type in (
        "Softmax",
        "LayerNormalization",
        "GlobalAveragePool",
        "LSTM",
        "GRU",
        "CumSum",
        "Einsum",
        "Attention",
    ):
        return max(shape, default=1)
    return 1


def is_float(dtype: int) -> bool:
    return dtype in (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)
