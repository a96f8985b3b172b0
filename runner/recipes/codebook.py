"""Weights as codes into a table (lut8, nf4, fp8, MX formats, ...).

`scheme` names it, and it is checked before the model is touched.

Options: `scheme`, `op_types` (default MatMul, Gemm), `nodes_to_exclude`, `unchecked` (make a scheme that is known to be
bad, to see what it does),
`scale` (one scale for every layer in place of each its own).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from assay.runner.errors import UsageError
from assay.runner.recipes import known_options
from assay.runner.recipes.build import Ingredients
from assay.runner.recipes.checks import float_file, known_nodes
from assay.runner.recipes.codebooks import Coded, Scheme, encode, problems, scheme_named
from assay.runner.tensors import Array


def build(ingredients: Ingredients) -> None:
    """Replace the weights of linear layers by codes and the nodes that decode them.

    Raises:
        UsageError: there is no FP32 file, an option is unknown, the scheme is unsound, or no weight was found.
    """
    base, options = float_file("codebook", ingredients), known_options("codebook", ingredients.options)
    scheme = sound(options["scheme"], unchecked=options["unchecked"])
    model = onnx.load(base)
    made = _replace(model, scheme, options)
    if not made:
        raise UsageError(
            "the model has no linear layer with a constant weight of two dimensions: there is nothing to put into"
            " codes."
        )
    _use_opset(model)
    onnx.save(model, ingredients.target)


def sound(name: str, *, unchecked: bool) -> Scheme:
    """A scheme that keeps what it promises, or any with `unchecked`.

    Raises:
        UsageError: it does not; says where.
    """
    scheme = scheme_named(name)
    if not unchecked and (wrong := problems(scheme)):
        raise UsageError(f"codebook {name!r} is unsound: {'; '.join(wrong)}.")
    return scheme


def _replace(model: Any, scheme: Scheme, options: dict[str, Any]) -> int:
    """Put every eligible weight into codes; how many."""
    types, excluded = options["op_types"], set(options["nodes_to_exclude"])
    known_nodes(model.graph, excluded)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    table = f"{scheme.name}_table"
    added: list[Any] = []
    decoded: dict[str, str] = {}
    for node in model.graph.node:
        if node.op_type not in types or node.name in excluded or len(node.input) < 2:
            continue
        tensor = weights.get(node.input[1])
        if tensor is None or len(tensor.dims) != 2 or tensor.data_type != TensorProto.FLOAT:
            continue
        transposed = any(a.name == "transB" and a.i for a in node.attribute)
        if tensor.name not in decoded:
            decoded[tensor.name] = f"{tensor.name}_decoded"
            by_row = numpy_helper.to_array(tensor) if transposed else numpy_helper.to_array(tensor).T
            coded = encode(by_row, scheme, options["scale"])
            nodes, initializers = _decoder(tensor.name, table, coded, scheme, transposed=transposed)
            added += nodes
            model.graph.initializer.extend(initializers)
        node.input[1] = decoded[tensor.name]
    if decoded:
        kept = [tensor for tensor in model.graph.initializer if tensor.name not in decoded or _read(model, tensor.name)]
        del model.graph.initializer[:]
        model.graph.initializer.extend(kept)
        model.graph.initializer.append(numpy_helper.from_array(np.array(scheme.table, np.float32), table))
        nodes = [*added, *model.graph.node]
        del model.graph.node[:]
        model.graph.node.extend(nodes)
    return len(decoded)


def _read(model: Any, name: str) -> bool:
    """Whether something else still reads the float weight."""
    return any(name in node.input for node in model.graph.node)


def _decoder(name: str, table: str, coded: Coded, scheme: Scheme, *, transposed: bool) -> tuple[list[Any], list[Any]]:
    """Nodes that look codes up, and give sign and scale back; weights stay in the orientation that the node reads."""
    rows, columns = coded.codes.shape
    stored: dict[str, Array] = {f"{name}_codes": coded.codes}
    nodes = [
        helper.make_node("Cast", [f"{name}_codes"], [f"{name}_index"], to=TensorProto.INT32),
        helper.make_node("Gather", [table, f"{name}_index"], [f"{name}_values"]),
    ]
    last = f"{name}_values"
    if coded.signs is not None:
        stored[f"{name}_signs"] = coded.signs
        nodes += [
            helper.make_node("Cast", [f"{name}_signs"], [f"{name}_sign"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [last, f"{name}_sign"], [f"{name}_signed"]),
        ]
        last = f"{name}_signed"
    stored[f"{name}_scales"] = coded.scales if scheme.grain != "layer" else coded.scales.reshape(())
    if scheme.grain == "block":
        if columns % coded.scales.shape[1]:
            raise UsageError(
                f"codebook {scheme.name!r}: rows of {columns} weights of {name!r} cannot be cut into blocks of"
                f" {scheme.block}."
            )
        stored[f"{name}_blocks"] = np.array([rows, coded.scales.shape[1], -1], np.int64)
        stored[f"{name}_shape"] = np.array([rows, columns], np.int64)
        stored[f"{name}_scales"] = coded.scales[:, :, None]
        nodes += [
            helper.make_node("Reshape", [last, f"{name}_blocks"], [f"{name}_cut"]),
            helper.make_node("Mul", [f"{name}_cut", f"{name}_scales"], [f"{name}_scaled"]),
            helper.make_node("Reshape", [f"{name}_scaled", f"{name}_shape"], [f"{name}_rows"]),
        ]
    else:
        nodes.append(helper.make_node("Mul", [last, f"{name}_scales"], [f"{name}_rows"]))
    turn = "Identity" if transposed else "Transpose"
    nodes.append(helper.make_node(turn, [f"{name}_rows"], [f"{name}_decoded"]))
    return nodes, [numpy_helper.from_array(np.asarray(array, order="C"), key) for key, array in stored.items()]


def _use_opset(model: Any) -> None:
    """Gather, Cast and Reshape are in every opset from 13 on."""
    for opset in model.opset_import:
        if opset.domain in ("", "ai.onnx") and opset.version < 13:
            raise UsageError(f"recipe 'codebook' needs opset 13 or later; the model has {opset.version}.")
