"""A PyTorch module as the reference of a walk.

Exported to a graph, interpreted node by node, values dropped after use.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import torch

from assay.runner.divergence.reference import RefNode
from assay.runner.errors import UsageError
from assay.runner.recipes.torch_modules import parameter_names
from assay.runner.recipes.torch_tensors import flat_names, flat_outputs, nest, to_numpy, to_torch
from assay.runner.tensors import Array, Tensors


class TorchReference:
    """Values of an exported program; names are those of its graph, which PyTorch's exporter keeps in the ONNX file."""

    def __init__(self, module: Any, example: Tensors) -> None:
        self._program = exported_program(module, example)
        self._module = self._program.module(check_guards=False)
        graph = self._module.graph
        self.inputs = [node.target for node in graph.nodes if node.op == "placeholder"]
        plain = parameter_names(module, example) is not None and set(self.inputs) <= set(example)
        order = self.inputs if plain else list(arguments_of(module, example)[2])
        self._fed = dict(zip(self.inputs, order, strict=False))
        data = {node.name for node in graph.nodes if node.op == "placeholder"}
        names = {node.name: node.target for node in graph.nodes if node.op == "placeholder"}
        self.nodes: list[RefNode] = []
        for node in graph.nodes:
            reads = [n.name for n in node.all_input_nodes if n.name in data]
            if node.op == "call_function" and reads:
                data.add(node.name)
                self.nodes.append(
                    RefNode(node.name, _op(node.target), _layer(node), tuple(names.get(r, r) for r in reads))
                )
        (result,) = (node for node in graph.nodes if node.op == "output")
        leaves = torch.utils._pytree.tree_leaves(result.args[0])  # noqa: SLF001  there is no public one
        self.outputs = [leaf.name for leaf in leaves if isinstance(leaf, torch.fx.Node)]

    def values(self, inputs: Tensors) -> Iterator[tuple[str, Array]]:
        """Of every node that gives a tensor; each is computed when it is asked for."""
        walk = torch.fx.Interpreter(self._module, garbage_collect_values=True)
        walk.args_iter = iter([to_torch(inputs[self._fed[name]]) for name in self.inputs])
        with torch.inference_mode():
            for node in self._module.graph.nodes:
                if node.op == "output":
                    return
                value = walk.env[node] = walk.run_node(node)
                if isinstance(value, torch.Tensor) and node.op != "get_attr":
                    yield node.name, as_array(value)
                del value
                for dead in walk.user_to_last_uses.get(node, []):
                    del walk.env[dead]


def exported_program(module: Any, example: Tensors) -> Any:
    """The program that PyTorch's ONNX exporter works on, so that names agree.

    The plain one where it has no operator for it.

    Nothing in it is done in place, because values are kept without a copy.

    Raises:
        UsageError: the module cannot be exported at all.
    """
    if isinstance(module, torch.jit.ScriptModule):
        raise UsageError(
            "a TorchScript file has no graph that can be walked: explain needs the Python module, or an ONNX reference."
        )
    arguments, named, tensors = arguments_of(module, example)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        if isinstance(module, torch.fx.GraphModule):
            return torch.export.export(module, tuple(tensors.values()), strict=False).run_decompositions({})
        stack.enter_context(flat_outputs(module, ()))
        try:
            return torch.onnx.export(
                module, arguments, kwargs=named, dynamo=True, verbose=False, optimize=False
            ).exported_program
        except Exception:  # noqa: BLE001  an operator without an ONNX form is why people write graphs by hand
            try:
                return torch.export.export(module, arguments, kwargs=named, strict=False).run_decompositions({})
            except Exception as error:
                raise UsageError(
                    f"the reference cannot be exported to a graph: {type(error).__name__}: {str(error)[:400]}"
                ) from error


def arguments_of(module: Any, example: Tensors) -> tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]:
    """What a module is called with: by position, by name; and the tensors in the order of their places."""
    tensors = {name: to_torch(array) for name, array in example.items()}
    names = parameter_names(module, tensors)
    if names is None:
        return tuple(tensors.values()), {}, tensors
    named = nest(tensors, names)
    return (), named, {name: tensors[name] for name in flat_names(named)}


def as_array(value: torch.Tensor) -> Array:
    """A value as it lies, without a copy; complex numbers and what numpy has no dtype for are copied."""
    if value.is_complex() or value.dtype in (torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2):
        return to_numpy(value)
    array: Array = value.detach().cpu().numpy()
    return array


def _op(target: Any) -> str:
    """`aten.quantile`, without its overload."""
    text = str(target)
    return text.rpartition(".")[0] if text.count(".") > 1 else getattr(target, "__name__", text)


def _layer(node: Any) -> str | None:
    """The innermost module that called the operator, by its path."""
    stack = node.meta.get("nn_module_stack") or {}
    paths = [path for path, _ in stack.values() if path]
    return paths[-1].removeprefix("L['self'].") if paths else None
