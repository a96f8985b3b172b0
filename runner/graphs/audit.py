"""What an ONNX file says about itself before it runs.

Inputs that nothing reads, operators that train or draw, open axes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from assay.runner.tensors import TEXT

_RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"}


@dataclass(slots=True)
class GraphAudit:
    findings: list[dict[str, str]] = field(default_factory=list)
    dynamic_axes: dict[str, dict[int, str]] = field(default_factory=dict)
    """Input -> axis -> symbol; an axis without a name has one of its own."""


def audit(path: Path) -> GraphAudit:
    """Read the graph, not its weights."""
    model = onnx.load(path, load_external_data=False)
    made = GraphAudit()
    initializers = {tensor.name: tensor for tensor in model.graph.initializer}
    read = {name for node in _nodes(model.graph) for name in node.input} | {
        output.name for output in model.graph.output
    }
    for port in model.graph.input:
        if port.name in initializers:
            continue
        made.dynamic_axes[port.name] = {
            axis: dimension.dim_param or f"{port.name}.{axis}"
            for axis, dimension in enumerate(port.type.tensor_type.shape.dim)
            if not dimension.HasField("dim_value")
        }
        if port.name not in read:
            made.findings.append(
                _finding(
                    "unused_input", port.name, "warning", f"input {port.name!r} of the artifact is read by no operator"
                )
            )
    known = {**initializers, **_constants(model.graph)}
    for node in _nodes(model.graph):
        if _trains(node, known):
            made.findings.append(
                _finding(
                    "training_mode",
                    node.name or node.op_type,
                    "fail",
                    f"{node.op_type} {node.name!r} is in training mode: the model was exported without eval()",
                )
            )
        elif node.op_type in _RANDOM:
            made.findings.append(
                _finding(
                    "random_operator",
                    node.name or node.op_type,
                    "warning",
                    f"{node.op_type} {node.name!r} draws random numbers",
                )
            )
    return made


_LARGE = 1 << 20
"""Bytes of a weight that is worth looking for twice."""


def stored_twice(path: Path) -> list[dict[str, str]]:
    """Findings on large weights that a file holds twice, as they are or transposed.

    What an exporter made of tied ones.
    """
    seen: dict[tuple[str, str], str] = {}
    found = []
    for tensor in onnx.load(path).graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if array.nbytes < _LARGE:
            continue
        ways = [
            hashlib.sha256(np.asarray(some, order="C").tobytes()).hexdigest()
            for some in ((array, array.T) if array.ndim == 2 else (array,))
        ]
        kind = array.dtype.name
        twin = next((seen[way, kind] for way in ways if (way, kind) in seen), None)
        seen.setdefault((ways[0], kind), tensor.name)
        if twin is not None:
            found.append(
                _finding(
                    "stored_twice",
                    tensor.name,
                    "warning",
                    f"{tensor.name} ({array.nbytes / 2**20:.1f} MiB) is {twin} again, as it is or transposed: a tied"
                    " weight was untied",
                )
            )
    return found


def _finding(kind: str, subject: str, severity: str, message: str) -> dict[str, str]:
    return {"kind": kind, "subject": subject, "severity": severity, "message": message}


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Every node, those of inner graphs included."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _nodes(attribute.g)


def _constants(graph: onnx.GraphProto) -> dict[str, Any]:
    """Tensors of Constant nodes by the name of their output."""
    return {
        node.output[0]: attribute.t
        for node in _nodes(graph)
        if node.op_type == "Constant"
        for attribute in node.attribute
        if attribute.name == "value"
    }


def _trains(node: onnx.NodeProto, known: dict[str, Any]) -> bool:
    if node.op_type == "BatchNormalization":
        return any(a.name == "training_mode" and a.i == 1 for a in node.attribute)
    if node.op_type == "Dropout" and len(node.input) > 2 and node.input[2] in known:
        ratio = known.get(node.input[1])
        drops = ratio is None or float(onnx.numpy_helper.to_array(ratio)) > 0
        return bool(onnx.numpy_helper.to_array(known[node.input[2]])) and drops
    return False


def ports(path: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Inputs and outputs of a file: dtype, and shape with its symbols; initializers are no inputs."""
    model = onnx.load(path, load_external_data=False)
    initializers = {tensor.name for tensor in model.graph.initializer}
    sides = {"inputs": model.graph.input, "outputs": model.graph.output}
    return {
        side: {port.name: _port(port) for port in found if port.name not in initializers}
        for side, found in sides.items()
    }


def _port(port: onnx.ValueInfoProto) -> dict[str, Any]:
    tensor = port.type.tensor_type
    shape = [
        int(d.dim_value) if d.HasField("dim_value") else d.dim_param or f"{port.name}_{axis}"
        for axis, d in enumerate(tensor.shape.dim)
    ]
    return {"dtype": _kind(port.type), "shape": shape}


def _kind(kind: onnx.TypeProto) -> str:
    """A tensor's dtype by name; of other types what ONNX Runtime calls them: `seq(map(string,tensor(float)))`."""
    if kind.WhichOneof("value") == "tensor_type":
        return _dtype(kind.tensor_type.elem_type)
    return _written(kind)


def _dtype(number: int) -> str:
    if number == onnx.TensorProto.STRING:
        return TEXT
    if number == onnx.TensorProto.UNDEFINED:
        return ""
    return str(onnx.helper.tensor_dtype_to_np_dtype(number).name)


def _written(kind: onnx.TypeProto) -> str:
    which = kind.WhichOneof("value") or "undefined"
    inner = getattr(kind, which, None)
    if which in ("tensor_type", "sparse_tensor_type"):
        return f"{which.removesuffix('_type')}({_words(inner.elem_type)})"  # type: ignore[union-attr]
    if which == "sequence_type":
        return f"seq({_written(inner.elem_type)})"  # type: ignore[union-attr]
    if which == "optional_type":
        return f"optional({_written(inner.elem_type)})"  # type: ignore[union-attr]
    if which == "map_type":
        return f"map({_words(inner.key_type)},{_written(inner.value_type)})"  # type: ignore[union-attr]
    return which.removesuffix("_type")


def _words(number: int) -> str:
    """An element type as ONNX Runtime writes it: float, string, int64."""
    return str(onnx.TensorProto.DataType.Name(number)).lower()
