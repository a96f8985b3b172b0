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
from assay.runner.source import load_factory
from assay.runner.tensors import Tensors


def build(ingredients: Ingredients) -> None:
    """Export the module, traced on the workload's first batch; weights go into the file.

    Raises:
        UsageError: there is no module, or an option is not as it should be.
    """
    if ingredients.module is None:
        raise UsageError("recipe 'export' needs a model with `pytorch`.")
    options = known_options("export", ingredients.options)
    tensors = {name: torch.from_numpy(array.copy()) for name, array in _example(ingredients).items()}
    scripted = options["exporter"] == "legacy" or isinstance(ingredients.module, torch.jit.ScriptModule)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():  # exporters report their progress on stdout
        warnings.simplefilter("ignore")
        torch.onnx.export(
            ingredients.module,
            f=str(ingredients.target),
            input_names=list(tensors),
            output_names=list(ingredients.output_names),
            verbose=False,
            **(_from_torchscript(ingredients, tensors) if scripted else _by_dynamo(ingredients, tensors)),
        )


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


def _by_dynamo(ingredients: Ingredients, tensors: dict[str, Any]) -> dict[str, Any]:
    named = parameter_names(ingredients.module) is not None
    settings: dict[str, Any] = {
        "args": () if named else tuple(tensors.values()),
        "kwargs": tensors if named else None,
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
        settings["dynamic_shapes"] = shapes if named else tuple(shapes.values())
    return settings


def _from_torchscript(ingredients: Ingredients, tensors: dict[str, Any]) -> dict[str, Any]:
    """A TorchScript file has no Python left for dynamo to trace: it goes through the exporter that reads its graph."""
    axes = {
        name: {int(axis): str(dim) for axis, dim in axes.items()}
        for name, axes in ingredients.options.get("dynamic", {}).items()
    }
    return {
        "args": tuple(tensors.values()),
        "dynamo": False,
        "opset_version": int(ingredients.options.get("opset", 17)),
        "dynamic_axes": axes or None,
    }
