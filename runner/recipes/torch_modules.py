"""Variants that only PyTorch runs: the loaded module is changed, and no file is made.

`torch-dynamic`: linear layers in INT8, activations quantized while running. `torch-dtype`: another float type (option
`dtype`: bfloat16 or float16). `torch-compile`: compiled by TorchInductor (options of torch.compile). `bitsandbytes`:
linear layers by bitsandbytes (option `kind`: int8, nf4 or fp4).
"""

from __future__ import annotations

import importlib
import inspect
import warnings
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from assay.runner.errors import EnvironmentMissing, UsageError
from assay.runner.recipes import MODULE_RECIPES, known_options

_FLOATS = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def apply(recipe: str, module: Any, options: dict[str, Any]) -> Any:
    """The module that runs.

    Raises:
        UsageError: an option is unknown, or the module has nothing that the recipe could change.
        EnvironmentMissing: a library is not installed.
    """
    return MODULE_RECIPES[recipe].load()(module, options)


def quantize_dynamic(module: Any, options: dict[str, Any]) -> Any:
    """INT8 weights per tensor, activations by their range at each call."""
    known_options("torch-dynamic", options)
    from torch.ao.quantization import quantize_dynamic as quantize

    with warnings.catch_warnings():  # it is deprecated for torchao, which has no such kernel for CPUs
        warnings.simplefilter("ignore")
        # Only what is inside a module is exchanged: one that is itself a linear layer goes in a box.
        return quantize(nn.Sequential(as_linears("torch-dynamic", module)), {nn.Linear}, dtype=torch.qint8)[0]


def cast(module: Any, options: dict[str, Any]) -> Any:
    """Parameters and arithmetic in another float type; inputs of float32 are cast, outputs come back as float32."""
    wanted = _FLOATS[known_options("torch-dtype", options)["dtype"]]
    return _InDtype(module.to(wanted), wanted)


def compile_module(module: Any, options: dict[str, Any]) -> Any:
    """Compiled at its first call, for every shape that comes (`dynamic`, `mode`, `fullgraph`: see torch.compile)."""
    known_options("torch-compile", options)
    return torch.compile(module, **options)


def quantize_bitsandbytes(module: Any, options: dict[str, Any]) -> Any:
    """Every linear layer replaced by bitsandbytes' one, of the same weights."""
    kind = known_options("bitsandbytes", options)["kind"]
    try:
        library: Any = importlib.import_module("bitsandbytes")
    except ImportError as error:
        raise EnvironmentMissing(
            f"recipe 'bitsandbytes' needs the Python package 'bitsandbytes' ({error}). Install it with: pip install"
            " 'assay[gpt2]'"
        ) from error

    def replaced(linear: nn.Linear) -> nn.Module:
        arguments: dict[str, Any] = {"bias": linear.bias is not None}
        if kind == "int8":
            made = library.nn.Linear8bitLt(
                linear.in_features, linear.out_features, has_fp16_weights=False, threshold=0.0, **arguments
            )
            made.weight = library.nn.Int8Params(linear.weight.data.clone(), requires_grad=False, has_fp16_weights=False)
        else:
            made = library.nn.Linear4bit(linear.in_features, linear.out_features, quant_type=kind, **arguments)
            made.weight = library.nn.Params4bit(linear.weight.data.clone(), requires_grad=False, quant_type=kind)
        if linear.bias is not None:
            made.bias = nn.Parameter(linear.bias.data.clone(), requires_grad=False)
        return made.to(linear.weight.device)

    return replace_modules(as_linears("bitsandbytes", module), nn.Linear, replaced)


def as_linears(recipe: str, module: Any) -> Any:
    """The module with transformers' Conv1D (a linear layer whose weight is transposed) as nn.Linear.

    Raises:
        UsageError: it has no linear layer at all.
    """
    made = replace_modules(module, lambda layer: type(layer).__name__ == "Conv1D" and hasattr(layer, "nf"), _as_linear)
    if not any(isinstance(layer, nn.Linear) for layer in made.modules()):
        raise UsageError(f"recipe {recipe!r} changes linear layers, and the module has none.")
    return made


def _as_linear(layer: Any) -> nn.Linear:
    inputs, outputs = layer.weight.shape
    made = nn.Linear(inputs, outputs)
    made.weight = nn.Parameter(layer.weight.data.T.contiguous(), requires_grad=False)
    made.bias = nn.Parameter(layer.bias.data.clone(), requires_grad=False)
    return made.eval()


def replace_modules(module: Any, chosen: Any, make: Any) -> Any:
    """The module with some of its layers replaced, in place; it may itself be one of them."""
    matches = chosen if not isinstance(chosen, type) else lambda layer: isinstance(layer, chosen)
    if matches(module):
        return make(module)
    for name, inner in module.named_children():
        setattr(module, name, replace_modules(inner, chosen, make))
    return module


class _InDtype(nn.Module):
    """Speaks float32 outside."""

    def __init__(self, module: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.module, self._dtype = module, dtype

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        def into(value: Any) -> Any:
            return value.to(self._dtype) if isinstance(value, torch.Tensor) and value.is_floating_point() else value

        def back(value: Any) -> Any:
            return value.float() if isinstance(value, torch.Tensor) and value.dtype == self._dtype else value

        tree_map = torch.utils._pytree.tree_map  # noqa: SLF001  the public way to map over outputs is this private name
        return tree_map(back, self.module(*tree_map(into, args), **tree_map(into, kwargs)))


class Signed(torch.nn.Module):
    """A changed module under the argument names of the one it was made from."""

    def __init__(self, module: Any, names: list[str] | None) -> None:
        super().__init__()
        self.changed, self.argument_names = module, names
        own = parameter_names(module)
        # A layer that stands for another one may call its argument x where that one says input.
        self._own_names = dict(zip(names, own, strict=False)) if names and own else {}

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.changed(*args, **{self._own_names.get(name, name): value for name, value in kwargs.items()})


def parameter_names(module: Any, given: Iterable[str] = ()) -> list[str] | None:
    """Names of forward's arguments, or None where inputs have to go in by position.

    A forward with `**kwargs` takes inputs by name where all that are `given` (`past.0.1` by `past`) are its arguments.
    """
    if isinstance(module, torch.jit.ScriptModule):
        return [argument.name for argument in module.forward.schema.arguments[1:]]
    if isinstance(
        module, torch.fx.GraphModule
    ):  # an exported program takes its inputs as it was traced: by keyword, or not
        return list(module._in_spec.child(1).context) or None  # noqa: SLF001  the only place that says which
    if isinstance(module, Signed):
        return module.argument_names
    names = list(inspect.signature(module.forward).parameters)
    if "args" in names:
        return None
    if "kwargs" not in names:
        return names
    own, heads = [name for name in names if name != "kwargs"], {name.partition(".")[0] for name in given}
    return own if heads and heads <= set(own) else None
