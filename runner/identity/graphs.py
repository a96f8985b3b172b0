"""What a graph computes, as a hash: nodes, attributes and the content of initializers, without names and notes.

A node counts by its operator, its attributes and what it is given, so another order of the same graph, other names of
inner values, doc strings, metadata and nodes that nothing uses change nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from assay.runner.identity.values import joined


def hash_onnx(path: Path) -> str:
    """Of an ONNX file with its external data: its inputs and outputs by name, and how the outputs come about.

    Raises:
        Exception: whatever onnx raises of a file that it cannot read.
    """
    import onnx

    model = onnx.load(path)
    functions = [f"{f.domain}:{f.name}={_function(f)}" for f in model.functions]
    opsets = [f"{entry.domain}={entry.version}" for entry in model.opset_import]
    return joined("onnx", *sorted(opsets), *sorted(functions), _graph(model.graph, {}))


def hash_bytes(path: Path) -> str:
    """Of an ONNX file as it lies there, and of the external data that it names."""
    digest = hashlib.sha256(path.read_bytes())
    for file, offset, length in _external(path):
        with file.open("rb") as stream:
            stream.seek(offset)
            digest.update(hashlib.sha256(stream.read(length)).digest())
    return digest.hexdigest()


def external_files(path: Path) -> list[Path]:
    """Files beside an ONNX file that hold its external data."""
    return sorted({file for file, _, _ in _external(path)})


def _external(path: Path) -> Iterator[tuple[Path, int, int]]:
    """File, offset and length (-1 to the end) of every tensor that is stored outside."""
    import onnx
    from onnx.external_data_helper import ExternalDataInfo, _get_all_tensors, uses_external_data

    for tensor in _get_all_tensors(onnx.load(path, load_external_data=False)):
        if uses_external_data(tensor):
            told = ExternalDataInfo(tensor)
            yield path.parent / told.location, int(told.offset or 0), int(told.length) if told.length else -1


def _graph(graph: Any, outside: Mapping[str, str], depth: int = 0) -> str:
    """A graph; or a node's body, whose values may come from outside of it, and whose ports count by their place."""
    values = dict(outside)
    called = {port.name: f"{depth}.{place}" if depth else port.name for place, port in enumerate(graph.input)}
    for port in graph.input:
        values[port.name] = joined("input", called[port.name])
    for tensor in graph.initializer:
        values[tensor.name] = _tensor(tensor)
    for tensor in graph.sparse_initializer:
        values[tensor.values.name] = hashlib.sha256(tensor.SerializeToString(deterministic=True)).hexdigest()
    for node in graph.node:
        given = [values.get(name, joined("unknown", name)) if name else "" for name in node.input]
        attributes = [f"{a.name}={_attribute(a, values, depth)}" for a in node.attribute]
        made = joined("node", node.domain, node.op_type, *given, "/", *sorted(attributes), str(len(node.output)))
        for place, name in enumerate(node.output):
            values[name] = joined(made, str(place))
    ports = [f"{called[port.name]}={_type(port)}" for port in graph.input]
    outputs = [f"{'' if depth else port.name}={_type(port)}={values.get(port.name, '')}" for port in graph.output]
    return joined("graph", *ports, "/", *outputs)


def _type(port: Any) -> str:
    kind = port.type
    return hashlib.sha256(kind.SerializeToString(deterministic=True)).hexdigest()


def _tensor(tensor: Any) -> str:
    """Type, shape and content, however it is stored."""
    import onnx

    shape = [str(size) for size in tensor.dims]
    if tensor.data_type == onnx.TensorProto.STRING:
        content = joined(*(text.hex() for text in tensor.string_data))
    else:
        content = hashlib.sha256(onnx.numpy_helper.to_array(tensor).tobytes()).hexdigest()
    return joined("tensor", str(tensor.data_type), *shape, content)


def _attribute(attribute: Any, values: Mapping[str, str], depth: int = 0) -> str:
    import onnx

    kind = onnx.AttributeProto
    if attribute.type == kind.GRAPH:
        return _graph(attribute.g, values, depth + 1)
    if attribute.type == kind.GRAPHS:
        return joined(*(_graph(graph, values, depth + 1) for graph in attribute.graphs))
    if attribute.type == kind.TENSOR:
        return _tensor(attribute.t)
    if attribute.type == kind.TENSORS:
        return joined(*(_tensor(tensor) for tensor in attribute.tensors))
    plain = kind()
    plain.CopyFrom(attribute)
    plain.ClearField("doc_string")
    return hashlib.sha256(plain.SerializeToString(deterministic=True)).hexdigest()


def _function(function: Any) -> str:
    """A function of the model's own: its body, by the names that it was written with."""
    values = {name: joined("input", str(place)) for place, name in enumerate(function.input)}
    for node in function.node:
        given = [values.get(name, "") for name in node.input]
        attributes = [f"{a.name}={a.ref_attr_name}={_attribute(a, values)}" for a in node.attribute]
        made = joined("node", node.domain, node.op_type, *given, "/", *sorted(attributes))
        values |= {name: joined(made, str(place)) for place, name in enumerate(node.output)}
    defaults = [f"{a.name}={_attribute(a, values)}" for a in function.attribute_proto]
    names = [*function.attribute, "/", *sorted(defaults)]
    return joined("function", *names, "/", *(values.get(name, "") for name in function.output))


def hash_exported(program: Any) -> str:
    """Of a `torch.export.ExportedProgram`: its graphs, and the constants that tracing found outside of the state."""
    digests = []
    for name, module in program.graph_module.named_modules():
        if (graph := getattr(module, "graph", None)) is not None:
            digests.append(joined(name, *_nodes(graph.nodes)))
    constants = {name: _constant(value) for name, value in program.constants.items()}
    ranges = sorted(f"{symbol}={limits}" for symbol, limits in program.range_constraints.items())
    return joined("exported", *digests, *(f"{n}={constants[n]}" for n in sorted(constants)), *ranges)


def _nodes(nodes: Iterable[Any]) -> list[str]:
    """Nodes by number: operator, arguments, and the name of what is no call."""
    number: dict[Any, int] = {}
    told = []
    for node in nodes:
        number[node] = len(number)
        target = _target(node.target) if node.op != "output" else ""
        told.append(f"{node.op} {target} {_argument(node.args, number)} {_argument(node.kwargs, number)}")
    return told


def _target(target: Any) -> str:
    if isinstance(target, str) or hasattr(target, "_schema"):
        return str(target)
    return f"{getattr(target, '__module__', '')}.{getattr(target, '__qualname__', type(target).__name__)}"


def _argument(value: Any, number: Mapping[Any, int]) -> str:
    if isinstance(value, (list, tuple)):
        return f"({', '.join(_argument(item, number) for item in value)})"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_argument(value[key], number)}' for key in sorted(value, key=str))}}}"
    if type(value).__name__ == "Node":
        return f"%{number.get(value, -1)}"
    return re.sub(r"0x[0-9a-f]+", "", repr(value))


def _constant(value: Any) -> str:
    from assay.runner.identity.values import Hasher

    return Hasher(Path.cwd()).of(value)


def hash_scripted(graph: Any) -> str:
    """Of a TorchScript graph: its nodes in order, and the tensors that it holds."""
    number: dict[str, int] = {}
    told = []

    def visit(block: Any) -> None:
        for node in block.nodes():
            given = [str(number.setdefault(value.debugName(), len(number))) for value in node.inputs()]
            made = [str(number.setdefault(value.debugName(), len(number))) for value in node.outputs()]
            held = [f"{name}={_held(node, name)}" for name in sorted(node.attributeNames())]
            told.append(joined(node.kind(), *given, "/", *made, "/", *held))
            for inner in node.blocks():
                visit(inner)

    visit(graph)
    return joined("scripted", *told)


def _held(node: Any, name: str) -> str:
    kind = node.kindOf(name)
    return _constant(getattr(node, kind)(name)) if kind in ("t", "ts", "i", "is", "f", "fs", "s", "ss") else kind
