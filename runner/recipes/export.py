"""torch.onnx.export: the dynamo exporter for modules and exported programs, the older one for TorchScript.

The older one is used on request, too.

Options: `opset`, `dynamic` ({input = {axis = "name"}}), `optimize`, `exporter` (`dynamo` or `legacy`), `example` (a
factory of
inputs to trace on, with `example_options`), where the workload's have axes of size 0 or 1 that are to vary. Options not
given are the exporter's defaults.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from typing import Any

import torch

from assay.runner.errors import UsageError
from assay.runner.recipes import known_options
from assay.runner.recipes.build import Ingredients
from assay.runner.recipes.torch_modules import parameter_names
from assay.runner.recipes.torch_tensors import ByPosition, flat_names, flat_outputs, nest, to_torch
from assay.runner.source import load_factory
from assay.runner.tensors import Tensors


def build(ingredients: Ingredients) -> None:
    """Export the module, traced on the workload's first batch; weights go into the file.

    Raises:
        UsageError: there is no module, an option is not as it should be, or an output has the name of an input.
    """
    if ingredients.module is None:
        raise UsageError("recipe 'export' needs a model with `pytorch`.")
    tensors, scripted = call_of(ingredients)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():  # exporters report their progress on stdout
        warnings.simplefilter("ignore")
        with flat_outputs(ingredients.module, ingredients.output_names):
            torch.onnx.export(
                f=str(ingredients.target),
                input_names=list(tensors),
                output_names=list(ingredients.output_names),
                verbose=False,
                **settings_of(ingredients, tensors, scripted=scripted),
            )


def call_of(ingredients: Ingredients) -> tuple[dict[str, Any], bool]:
    """What a module is traced with.

    Tensors by name, in its order, and whether it goes through the exporter that reads TorchScript.

    Raises:
        UsageError: an option is not as it should be, or an output has the name of an input.
    """
    options = known_options("export", ingredients.options)
    tensors = {name: to_torch(array) for name, array in _example(ingredients).items()}
    if clash := [name for name in ingredients.output_names if name in tensors]:
        raise UsageError(
            f"output {clash[0]!r} has the name of an input, which a graph cannot have: name the outputs, in order, by"
            " the model's `outputs`."
        )
    if (arguments := _arguments(ingredients, tensors)) is not None:
        tensors = {name: tensors[name] for name in flat_names(arguments)}
    return tensors, options["exporter"] == "legacy" or isinstance(ingredients.module, torch.jit.ScriptModule)


def settings_of(ingredients: Ingredients, tensors: dict[str, Any], *, scripted: bool) -> dict[str, Any]:
    """Settings of torch.onnx.export for a call (`call_of`): the module, its arguments, what is dynamic."""
    return (_by_tracing if scripted else _by_dynamo)(ingredients, tensors)


def _example(ingredients: Ingredients) -> Tensors:
    """What to trace on: the workload's, or what the option `example` makes where that has axes of size 0 or 1."""
    named = ingredients.options.get("example")
    if named is None:
        return ingredients.example
    try:
        made: Tensors = load_factory(named, ingredients.folder)(**ingredients.options.get("example_options", {}))
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"the example {named} raised {type(error).__name__}: {error}") from error
    return made


_PROTOBUF_LIMIT = 1_800_000_000
"""A protobuf message ends at 2 GiB; larger weights go into a file beside the model."""


def _too_large(module: Any) -> bool:
    return sum(t.numel() * t.element_size() for t in (*module.parameters(), *module.buffers())) > _PROTOBUF_LIMIT


def _arguments(ingredients: Ingredients, tensors: dict[str, Any]) -> dict[str, Any] | None:
    """Tensors, or what is said of each, by argument of the forward; None where they go by position."""
    names = parameter_names(ingredients.module, tensors)
    return None if names is None else nest(tensors, names)


def _by_dynamo(ingredients: Ingredients, tensors: dict[str, Any]) -> dict[str, Any]:
    arguments = _arguments(ingredients, tensors)
    settings: dict[str, Any] = {
        "model": ingredients.module,
        "args": tuple(tensors.values()) if arguments is None else (),
        "kwargs": arguments,
        "dynamo": True,
        "external_data": _too_large(ingredients.module),
        "optimize": bool(ingredients.options.get("optimize", True)),
    }
    if opset := ingredients.options.get("opset"):
        settings["opset_version"] = int(opset)
    if (dynamic := ingredients.options.get("dynamic")) is not None:
        symbols = {str(dim): torch.export.Dim(str(dim)) for axes in dynamic.values() for dim in axes.values()}
        shapes = {
            name: {int(axis): symbols[str(dim)] for axis, dim in dynamic.get(name, {}).items()} for name in tensors
        }
        named = _arguments(ingredients, shapes)
        settings["dynamic_shapes"] = tuple(shapes.values()) if named is None else named
    return settings


def _by_tracing(ingredients: Ingredients, tensors: dict[str, Any]) -> dict[str, Any]:
    """A TorchScript file has no Python left for dynamo to trace: it goes through the exporter that reads its graph."""
    axes = {
        name: {int(axis): str(dim) for axis, dim in axes.items()}
        for name, axes in ingredients.options.get("dynamic", {}).items()
    }
    module, names = ingredients.module, parameter_names(ingredients.module, tensors)
    scripted = isinstance(module, torch.jit.ScriptModule)
    if names is not None and not scripted and list(tensors) != names:
        # nested arguments, or some of them left out: it would take their defaults for inputs
        module = ByPosition(module, list(tensors), names)
    return {
        "model": module,
        "args": tuple(tensors.values()),
        "dynamo": False,
        "opset_version": int(ingredients.options.get("opset", 17)),
        "dynamic_axes": axes or None,
    }
