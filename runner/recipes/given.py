"""An ONNX model that exists already: a file, or a factory that makes one."""

from __future__ import annotations

import shutil
from pathlib import Path

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
        try:
            made = load_factory(ingredients.onnx, ingredients.folder)(**ingredients.onnx_options)
        except UsageError:
            raise
        except Exception as error:
            raise UsageError(f"the factory {ingredients.onnx} raised {type(error).__name__}: {error}") from error
        if isinstance(made, onnx.ModelProto):
            onnx.save(made, ingredients.target)
            return
        path = Path(made)
    else:
        path = ingredients.folder / ingredients.onnx
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
        onnx.save(model, ingredients.target, save_as_external_data=True, location="model.onnx.data")
    else:
        shutil.copyfile(path, ingredients.target)
