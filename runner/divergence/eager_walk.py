"""A PyTorch module that no exporter takes as the reference of a walk: watched while it runs.

Loops and branches that depend on data, packed sequences, Python in between: every call of a PyTorch function on values
made of the inputs is one node, in the order in which they really ran, a round of a loop after the other.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch.overrides import TorchFunctionMode, resolve_name

from assay.runner.divergence.reference import RefNode
from assay.runner.divergence.torch_walk import arguments_of, as_array
from assay.runner.divergence.walk import spilled
from assay.runner.errors import UsageError
from assay.runner.recipes.torch_tensors import flat_outputs
from assay.runner.tensors import Array, Tensors

_MOST = 20_000


class EagerReference:
    """Values of one run, each kept in a file without a name; names are the function's with the number of the call.

    Raises:
        UsageError: the module is TorchScript, which cannot be watched; or it makes more than 20,000 calls.
    """

    def __init__(self, module: Any, example: Tensors) -> None:
        if isinstance(module, torch.jit.ScriptModule):
            raise UsageError(
                "a TorchScript file has no graph that can be walked: explain needs the Python module, or an ONNX"
                " reference."
            )
        self._module, self.inputs = module, list(example)
        watched = self._run(example)
        self.nodes, self.outputs = watched.nodes, watched.outputs
        self._first: dict[str, Array] | None = watched.values
        self._example = example

    def values(self, inputs: Tensors) -> Iterator[tuple[str, Array]]:
        """(name, value) of every call, in order; the module runs again for other inputs than the first."""
        known = self._first if inputs is self._example else None
        yield from (known if known is not None else self._run(inputs).values).items()

    def _run(self, inputs: Tensors) -> _Watch:
        arguments, named, tensors = arguments_of(self._module, inputs)
        watch = _Watch({id(tensor): (tensor, name) for name, tensor in tensors.items()})
        with contextlib.ExitStack() as stack:
            for path, inner in self._module.named_modules():
                stack.callback(inner.register_forward_pre_hook(watch.entering(path)).remove)
                stack.callback(inner.register_forward_hook(watch.leaving, always_call=True).remove)
            stack.enter_context(flat_outputs(self._module, ()))
            stack.enter_context(torch.no_grad())
            with watch:
                result = self._module(*arguments, **named)
        leaves = torch.utils._pytree.tree_leaves(result)  # noqa: SLF001  there is no public one
        watch.outputs = [watch.name_of(leaf) or f"output {number}" for number, leaf in enumerate(leaves)]
        return watch


class _Watch(TorchFunctionMode):  # type: ignore[misc]
    """Writes down every call that reads what depends on the inputs."""

    def __init__(self, known: dict[int, tuple[Any, str]]) -> None:
        super().__init__()
        self._known = known
        """By identity; the tensors are held, so that no other gets the same."""
        self._path: list[str] = []
        self.nodes: list[RefNode] = []
        self.values: dict[str, Array] = {}
        self.outputs: list[str] = []

    def entering(self, path: str) -> Any:
        return lambda _module, _arguments: self._path.append(path)

    def leaving(self, _module: Any, _arguments: Any, _result: Any) -> None:
        self._path.pop()

    def name_of(self, tensor: Any) -> str | None:
        found = self._known.get(id(tensor))
        return found[1] if found is not None else None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = _tensors((args, kwargs or {}))
        reads = tuple(dict.fromkeys(name for one in given if (name := self.name_of(one)) is not None))
        made = _tensors(result)
        if not reads or not made:
            return result
        if len(self.nodes) > _MOST:
            raise UsageError(f"the reference makes more than {_MOST} calls: it is too long to be watched.")
        op = _word(func)
        for place, one in enumerate(made):
            name = f"{op}_{len(self.nodes)}" + (f":{place}" if len(made) > 1 else "")
            self._known[id(one)] = (one, name)
            self.nodes.append(RefNode(name, op, self._path[-1] or None if self._path else None, reads))
            self.values[name] = spilled(as_array(one).copy())
        return result


def _tensors(value: Any) -> list[Any]:
    leaves = torch.utils._pytree.tree_leaves(value)  # noqa: SLF001  there is no public one
    return [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]


def _word(func: Any) -> str:
    """`lstm`, `mul`: the function's own name, without the underscores of Python's operators."""
    name = str(resolve_name(func) or getattr(func, "__name__", "call"))
    word = name.rpartition(".")[2] if not name.endswith("__get__") else name.split(".")[-2]
    return word.strip("_").removeprefix("i") if word.startswith("__i") else word.strip("_")
