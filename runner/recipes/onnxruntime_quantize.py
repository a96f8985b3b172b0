"""ONNX Runtime's dynamic quantizer: weights in INT8, activations quantized while running.

`onnxruntime-dynamic`: weights in INT8, activations quantized while running. Options: `per_channel`, `reduce_range`,
`op_types`, `weight_type` (int8, uint8), `preprocess` (true: fold constants first, which unties weights that two nodes
share, so that both can be quantized).
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

from assay.runner.graphs.preparation import is_large, prepare, save
from assay.runner.graphs.simulate import integer_nodes
from assay.runner.recipes import known_options
from assay.runner.recipes.build import Ingredients
from assay.runner.recipes.checks import float_file

_TYPES = {"int8": QuantType.QInt8, "uint8": QuantType.QUInt8}


def build_dynamic(ingredients: Ingredients) -> dict[str, Any]:
    """Quantize the FP32 ONNX file's weights; tells how many nodes of each type multiply integers.

    Raises:
        UsageError: there is no such file, or an option is unknown.
    """
    base = float_file("onnxruntime-dynamic", ingredients)
    options = known_options("onnxruntime-dynamic", ingredients.options)
    logging.getLogger().setLevel(logging.ERROR)  # it advises pre-processing on the root logger, which is done here
    with tempfile.TemporaryDirectory(dir=ingredients.target.parent) as scratch:
        prepared = prepare(base, Path(scratch), fold=options["preprocess"])
        large = is_large(prepared)
        # Shapes that the exporter wrote down go stale when the quantizer transposes a Gemm's weight, and it then
        # refuses them.
        model = onnx.load(prepared)
        del model.graph.value_info[:]
        save(model, prepared, large=large)
        del model
        quantize_dynamic(
            prepared,
            ingredients.target,
            op_types_to_quantize=options["op_types"],
            per_channel=options["per_channel"],
            reduce_range=options["reduce_range"],
            weight_type=_TYPES[options["weight_type"]],
            use_external_data_format=large,
        )
    return {"integer_operators": integer_nodes(ingredients.target)}
