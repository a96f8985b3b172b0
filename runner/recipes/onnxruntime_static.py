"""ONNX Runtime's static quantizer: weights and activations in integers, ranges learnt from `calibration` data.

Options: `format` (qdq, qoperator), `method` (minmax, entropy, percentile, distribution), `per_channel`, `reduce_range`,
`activation_type` and `weight_type` (int8, uint8, int16, uint16), `activation_symmetric`, `weight_symmetric`,
`moving_average`, `percentile`, `num_bins`, `op_types`, `nodes_to_quantize`, `nodes_to_exclude`, `preprocess`.
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

import onnx
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.calibrate import CalibrationDataReader, create_calibrator, save_tensors_data

from assay.runner.errors import UsageError
from assay.runner.graphs.preparation import is_large, prepare
from assay.runner.recipes import known_options
from assay.runner.recipes.build import Ingredients
from assay.runner.recipes.calibration import CalibrationData, finite_batches
from assay.runner.recipes.checks import float_file, known_nodes
from assay.runner.tensors import Tensors

METHODS = {
    "minmax": CalibrationMethod.MinMax, "entropy": CalibrationMethod.Entropy, "percentile": CalibrationMethod.Percentile,
    "distribution": CalibrationMethod.Distribution,
}  # fmt: skip
_FORMATS = {"qdq": QuantFormat.QDQ, "qoperator": QuantFormat.QOperator}
_TYPES = {"int8": QuantType.QInt8, "uint8": QuantType.QUInt8, "int16": QuantType.QInt16, "uint16": QuantType.QUInt16}


def build(ingredients: Ingredients) -> None:
    """Learn ranges batch by batch, then quantize the FP32 ONNX file.

    Raises:
        UsageError: there is no such file or no calibration data, or an option or a node is unknown.
    """
    base = float_file("onnxruntime-static", ingredients)
    if ingredients.calibration is None:
        raise UsageError(
            "recipe 'onnxruntime-static' needs data to learn ranges from: name a workload as the variant's"
            " `calibration`. Nothing is made up in its place."
        )
    options = checked(ingredients.options)
    logging.getLogger().setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(dir=ingredients.target.parent) as scratch:
        prepared = prepare(base, Path(scratch), fold=options["preprocess"])
        graph = onnx.load(prepared, load_external_data=False).graph
        known_nodes(graph, options["nodes_to_exclude"], options["nodes_to_quantize"])
        ranges = Path(scratch) / "ranges.json"
        learn(prepared, ingredients.calibration, options, ranges)
        quantize(prepared, ranges, options, ingredients.target)


def quantize(prepared: Path, ranges: Path, options: dict[str, Any], target: Path) -> None:
    """Quantize a prepared model with ranges that were learnt before; `options` are complete."""
    quantize_static(
            prepared, target, None, quant_format=_FORMATS[options["format"]], op_types_to_quantize=options["op_types"],
            per_channel=options["per_channel"], reduce_range=options["reduce_range"], activation_type=_TYPES[options["activation_type"]],
            weight_type=_TYPES[options["weight_type"]], nodes_to_quantize=options["nodes_to_quantize"],
            nodes_to_exclude=options["nodes_to_exclude"], calibrate_method=METHODS[options["method"]], calibration_cache_path=ranges,
            use_external_data_format=is_large(prepared),
            extra_options={"ActivationSymmetric": options["activation_symmetric"], "WeightSymmetric": options["weight_symmetric"]},
    )  # fmt: skip


def checked(given: dict[str, Any]) -> dict[str, Any]:
    """Options with what is left out filled in.

    Raises:
        UsageError: one is unknown, or has a value that it does not take.
    """
    options = known_options("onnxruntime-static", given)
    if options["weight_symmetric"] is None:
        options["weight_symmetric"] = options["weight_type"].startswith("int")
    return options


def learn(model: Path, calibration: CalibrationData, options: dict[str, Any], target: Path) -> None:
    """Write the range of every activation; the activations of one batch are in memory at a time.

    ONNX Runtime's own loop keeps those of all batches (256 GB for BERT on a full set, by its users' reports).

    Raises:
        UsageError: the data are empty, or not finite.
    """
    extra: dict[str, Any] = {"symmetric": options["activation_symmetric"]}
    if options["method"] == "minmax":
        extra["moving_average"] = options["moving_average"]
    if options["method"] == "percentile":
        extra["percentile"] = options["percentile"]
    if options["num_bins"] is not None and options["method"] != "minmax":
        extra["num_bins"] = options["num_bins"]
    calibrator = create_calibrator(
        model,
        options["op_types"],
        augmented_model_path=str(target.with_name("augmented.onnx")),
        calibrate_method=METHODS[options["method"]],
        providers=["CPUExecutionProvider"],
        extra_options=extra,
        use_external_data_format=is_large(model),
    )
    for batch in finite_batches(calibration):
        calibrator.collect_data(_OneBatch(batch))
    save_tensors_data(calibrator.compute_data(), target)


class _OneBatch(CalibrationDataReader):
    def __init__(self, batch: Tensors) -> None:
        self._left = [batch]

    def get_next(self) -> Tensors | None:
        return self._left.pop() if self._left else None
