"""An ONNX model that exists already: a file, or a factory that makes one."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx

from assay.runner.errors import UsageError
from assay.runner.recipes.build import Ingredients
from assay.runner.source import is_factory, load_factory


def build(ingredients: Ingredients) -> None:
    """Copy the file, external data included, or save what the factory makes.

    Raises:
        UsageError: the file is missing, no ONNX or empty, or the factory raised.
    """
    if ingredients.onnx is None:
        raise UsageError("the model has no `onnx`, and variant recipe 'given' needs it.")
    if is_factory(ingredients.onnx):
        with TemporaryDirectory() as scratch:
            made = made_by(ingredients.onnx, ingredients.onnx_options, ingredients.folder, Path(scratch))
            _copy(made, ingredients.target)
    else:
        _copy(ingredients.folder / ingredients.onnx, ingredients.target)


def made_by(factory: str, options: dict[str, Any], folder: Path, scratch: Path) -> Path:
    """The file that a factory names, or the one that holds the graph that it makes, written into `scratch`.

    Raises:
        UsageError: the factory raised.
    """
    try:
        made = load_factory(factory, folder)(**options)
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"the factory {factory} raised {type(error).__name__}: {error}") from error
    if not isinstance(made, onnx.ModelProto):
        return Path(made)
    path = scratch / "model.onnx"
    onnx.save(made, path)
    return path


def _copy(path: Path, target: Path) -> None:
    if not path.is_file():
        raise UsageError(f"ONNX file {path} is not there.")
    try:
        model = onnx.load(path)  # external data must lie beside the file: onnx refuses paths that leave its folder
    except Exception as error:
        raise UsageError(f"{path.name} is not an ONNX file that can be read: {str(error).strip()[:300]}") from error
    if not model.graph.node:
        raise UsageError(f"{path.name} holds no graph: it is empty, cut short, or not an ONNX file.")
    if any(
        tensor.data_location == onnx.TensorProto.EXTERNAL
        for tensor in onnx.load(path, load_external_data=False).graph.initializer
    ):
        onnx.save(model, target, save_as_external_data=True, location="model.onnx.data")
    else:
        shutil.copyfile(path, target)
