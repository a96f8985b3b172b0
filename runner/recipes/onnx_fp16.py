"""The FP32 ONNX file with weights and arithmetic in FP16, inputs and outputs left as they are.

ONNX Runtime's converter does it. Options: `op_block` (operator types left in FP32). A CPU has few FP16 kernels: ONNX
Runtime then casts to FP32 and back.
"""

from __future__ import annotations

import contextlib
import sys

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from assay.runner.recipes import known_options
from assay.runner.recipes.build import Ingredients
from assay.runner.recipes.checks import float_file


def build(ingredients: Ingredients) -> None:
    """Convert the FP32 file.

    Raises:
        UsageError: there is no such file, or an option is unknown.
    """
    base = float_file("onnx-fp16", ingredients)
    options = known_options("onnx-fp16", ingredients.options)
    model = onnx.load(base)
    with contextlib.redirect_stdout(sys.stderr):
        made = convert_float_to_float16(
            model, keep_io_types=True, disable_shape_infer=False, op_block_list=options["op_block"]
        )
    ordered = OnnxModel(made)
    ordered.topological_sort()  # the converter puts its casts at the end
    onnx.save(ordered.model, ingredients.target)
