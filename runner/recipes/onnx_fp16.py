"""The FP32 ONNX file with weights and arithmetic in FP16, inputs and outputs left as they are (ONNX Runtime's converter).

Options: `op_block` (operator types left in FP32). A CPU has few FP16 kernels: ONNX Runtime then casts to FP32 and back.
"""

from __future__ import annotations

import contextlib
import sys

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from runner.errors import UsageError, nearest
from runner.recipes.build import Ingredients


def build(ingredients: Ingredients) -> None:
    """Convert the FP32 file.

    Raises:
        UsageError: there is no such file, or an option is unknown.
    """
    if ingredients.base is None:
        raise UsageError("recipe 'onnx-fp16' needs an FP32 ONNX model to start from.")
    for name in ingredients.options:
        if name != "op_block":
            raise UsageError(f"recipe 'onnx-fp16' has no option {name!r}.{nearest(name, ['op_block'])}")
    model = onnx.load(ingredients.base)
    with contextlib.redirect_stdout(sys.stderr):
        made = convert_float_to_float16(
            model, keep_io_types=True, disable_shape_infer=False, op_block_list=ingredients.options.get("op_block")
        )
    ordered = OnnxModel(made)
    ordered.topological_sort()  # the converter puts its casts at the end
    onnx.save(ordered.model, ingredients.target)
