"""torch.onnx.export with the dynamo exporter.

Options: `opset`, `dynamic` ({input = {axis = "name"}}), `optimize`. Options not given are the exporter's defaults.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import Any

import torch

from runner.backends.pytorch_module import parameter_names
from runner.errors import UsageError, nearest
from runner.recipes.build import Ingredients

_OPTIONS = ("opset", "dynamic", "optimize")


def build(ingredients: Ingredients) -> None:
    """Export the module, traced on the workload's first batch; weights go into the file.

    Raises:
        UsageError: there is no module, or an option is unknown.
    """
    if ingredients.module is None:
        raise UsageError("recipe 'export' needs a model with `pytorch`.")
    for name in ingredients.options:
        if name not in _OPTIONS:
            raise UsageError(f"recipe 'export' has no option {name!r}.{nearest(name, _OPTIONS)}")
    tensors = {name: torch.from_numpy(array.copy()) for name, array in ingredients.example.items()}
    named = parameter_names(ingredients.module) is not None
    settings: dict[str, Any] = {}
    if opset := ingredients.options.get("opset"):
        settings["opset_version"] = int(opset)
    if (dynamic := ingredients.options.get("dynamic")) is not None:
        shapes = {
            name: {int(axis): torch.export.Dim(str(dim)) for axis, dim in dynamic.get(name, {}).items()}
            for name in tensors
        }
        settings["dynamic_shapes"] = shapes if named else tuple(shapes.values())
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(sys.stderr):  # the exporter reports its progress on stdout
        torch.onnx.export(
            ingredients.module,
            args=() if named else tuple(tensors.values()),
            kwargs=tensors if named else None,
            f=str(ingredients.target),
            input_names=list(tensors),
            output_names=list(ingredients.output_names),
            dynamo=True,
            external_data=False,
            optimize=bool(ingredients.options.get("optimize", True)),
            verbose=False,
            **settings,
        )
