"""The element type of every tensor of an ONNX graph, from the operators' own signatures, without running anything.

A signature says `T` in and `T` out, or one fixed type; a few operators name the type in an attribute. ONNX Runtime
knows the signatures of its own operators too, which is why they are asked of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import onnx
import onnxruntime.capi.onnxruntime_pybind11_state as native

_ATTRIBUTE = {"Cast": "to", "QuantizeLinear": "output_dtype", "DequantizeLinear": "output_dtype"}
"""Operators whose attribute says the type of what they write, where it is set; others call it `dtype`."""
_LIKE = {"CastLike": 1, "QuantizeLinear": 2, "DequantizeLinear": 1}
"""Else it is the type of this operand."""
_FIXED = {
    "QuantizeLinear": "uint8",
    "ConstantOfShape": "float32",
    "RandomNormal": "float32",
    "RandomUniform": "float32",
}
"""Else it is this."""
_BODIES = {"If": 0, "Loop": 1, "Scan": 0}
"""Operators that run inner graphs -> outputs of the body that they do not give on (a loop's condition)."""


@dataclass(frozen=True, slots=True)
class TypedNode:
    """A node with the types of what it reads and writes, None where they are not known, or are no tensors."""

    proto: Any
    reads: tuple[str | None, ...]
    writes: tuple[str | None, ...]
    constant: bool
    """Whether it reads nothing but initializers and what follows from them."""


def type_name(number: int) -> str | None:
    """`float32` of onnx's FLOAT (1), `float8e4m3fn` of its FLOAT8E4M3FN; None of UNDEFINED."""
    name = onnx.TensorProto.DataType.Name(number).lower()
    return {"float": "float32", "double": "float64", "undefined": None}.get(name, name)


def typed_nodes(model: Any) -> list[TypedNode]:
    """Every node with its types, in the order of execution, those of inner graphs before the node that runs them.

    Functions of the model have to be inlined before; weights need not be loaded.
    """
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    return list(_walk(model.graph, {}, set(), opsets))


def _walk(
    graph: Any, types: dict[str, str | None], constants: set[str], opsets: Mapping[str, int]
) -> Iterator[TypedNode]:
    """Fills in `types` and `constants` of the graph, and gives its nodes."""
    _declare(graph, types, constants)
    for node in graph.node:
        bodies = [attribute.g for attribute in node.attribute if attribute.type == onnx.AttributeProto.GRAPH]
        inner: dict[str, str | None] = {}
        for body in bodies:
            inner = dict(types)
            _bind(node, body, types, inner)
            yield from _walk(body, inner, set(constants), opsets)
        constant = not bodies and all(name in constants for name in node.input if name)
        reads = tuple(types.get(name) for name in node.input)
        if bodies and node.op_type in _BODIES:
            given = [inner.get(port.name) for port in bodies[-1].output][_BODIES[node.op_type] :]
        else:
            given = _written(node, reads, opsets)
        for name, kind in zip(node.output, given, strict=False):
            if name and types.get(name) is None:
                types[name] = kind
        if constant:
            constants.update(node.output)
        yield TypedNode(node, reads, tuple(types.get(name) for name in node.output), constant)


def _declare(graph: Any, types: dict[str, str | None], constants: set[str]) -> None:
    """What a graph says of its weights, ports and values."""
    for tensor in (*graph.initializer, *(sparse.values for sparse in graph.sparse_initializer)):
        types[tensor.name] = type_name(tensor.data_type)
        constants.add(tensor.name)
    for port in (*graph.value_info, *graph.output, *graph.input):
        if port.type.HasField("tensor_type") and port.type.tensor_type.elem_type:
            types.setdefault(port.name, type_name(port.type.tensor_type.elem_type))


def _bind(node: Any, body: Any, types: Mapping[str, str | None], inner: dict[str, str | None]) -> None:
    """A loop's body gets the types of what it is given, where it does not say them."""
    given = list(node.input)
    if node.op_type == "Loop":
        inner.update(zip([port.name for port in body.input[:2]], ("int64", "bool"), strict=False))
        given, ports = given[2:], list(body.input[2:])
    elif node.op_type == "Scan":
        ports = list(body.input)
    else:
        return
    for name, port in zip(given, ports, strict=False):
        inner[port.name] = type_name(port.type.tensor_type.elem_type) or types.get(name)


def _written(node: Any, reads: Sequence[str | None], opsets: Mapping[str, int]) -> list[str | None]:
    kind = node.op_type
    said = next((a.i for a in node.attribute if a.name in (_ATTRIBUTE.get(kind), "dtype") and a.i), 0)
    if said:
        return [type_name(said)] * len(node.output)
    if kind in ("Constant", "ConstantOfShape") and (held := _constant(node)) is not None:
        return [held]
    if kind in _LIKE and len(reads) > _LIKE[kind] and reads[_LIKE[kind]]:
        return [reads[_LIKE[kind]]]
    if kind in _FIXED:
        return [_FIXED[kind]]
    return _by_signature(node, reads, opsets)


def _constant(node: Any) -> str | None:
    for attribute in node.attribute:
        if attribute.name == "value":
            return type_name(attribute.t.data_type)
        if attribute.name.startswith("value_"):
            return {"f": "float32", "i": "int64", "s": "string"}.get(attribute.name[len("value_")])
    return None


def _by_signature(node: Any, reads: Sequence[str | None], opsets: Mapping[str, int]) -> list[str | None]:
    signature = _signature(node.domain, node.op_type, opsets.get(node.domain, 1))
    if signature is None:  # an operator of somebody else: most compute in the type that they are given
        first = next((kind for kind in reads if kind and "float" in kind), next(iter(reads), None))
        return [first] * len(node.output)
    inputs, outputs, alone = signature
    bound: dict[str, str] = {}
    formal = itertools.chain(inputs, itertools.repeat(inputs[-1] if inputs else ""))
    for parameter, kind in zip(formal, reads, strict=False):
        if kind:
            bound.setdefault(parameter, kind)
    names = itertools.chain(outputs, itertools.repeat(outputs[-1] if outputs else ""))
    return [bound.get(name) or alone.get(name) or _fixed(name) for _, name in zip(node.output, names, strict=False)]


_Signature = tuple[list[str], list[str], dict[str, str]]


@cache
def _signatures() -> dict[tuple[str, str], list[tuple[int, Any]]]:
    found: dict[tuple[str, str], list[tuple[int, Any]]] = {}
    for schema in native.get_all_operator_schema():
        found.setdefault((schema.domain, schema.name), []).append((schema.since_version, schema))
    return found


@cache
def _signature(domain: str, name: str, version: int) -> _Signature | None:
    """Types of inputs and outputs as the signature in force writes them, and those that can be one type only."""
    known = _signatures().get(("" if domain == "ai.onnx" else domain, name), [])
    in_force = max((entry for entry in known if entry[0] <= version), default=None, key=lambda entry: entry[0])
    if in_force is None:
        return None
    schema = in_force[1]
    alone = {
        c.type_param_str: _fixed(c.allowed_type_strs[0])
        for c in schema.type_constraints
        if len(c.allowed_type_strs) == 1
    }
    return (
        [parameter.typeStr for parameter in schema.inputs],
        [parameter.typeStr for parameter in schema.outputs],
        {name: kind for name, kind in alone.items() if kind},
    )


def _fixed(text: str) -> str | None:
    """`int32` of `tensor(int32)`."""
    if not text.startswith("tensor("):
        return None
    name = text[len("tensor(") : -1]
    return {"float": "float32", "double": "float64"}.get(name, name)
