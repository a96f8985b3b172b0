"""How sensitive a network is to each node.

Quantized alone, and left in float alone, by what the outputs lose as executed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import onnxruntime as ort
from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

from assay.runner.graphs.preparation import prepare
from assay.runner.quality.moments import Moments
from assay.runner.recipes import onnxruntime_static as static
from assay.runner.recipes.calibration import CalibrationData
from assay.runner.tensors import Tensors


def nodes_of(prepared: Path, types: list[str] | None) -> list[tuple[str, str]]:
    """(name, operator) of each node that the quantizer would quantize, in order.

    `types` limits it as the recipe does.
    """
    graph = onnx.load(prepared, load_external_data=False).graph
    known = set(types or (*QDQRegistry, *QLinearOpsRegistry))  # the quantizer's own list where none is given
    return [(node.name, node.op_type) for node in graph.node if node.op_type in known and node.name]


def sensitivities(
    base: Path,
    given: dict[str, Any],
    calibration: CalibrationData,
    batches: list[Tensors],
    scratch: Path,
    budget_s: float,
) -> Iterator[dict[str, Any]]:
    """First what quantizing everything leaves (position -1, node ""), then one entry for each node.

    Nodes that the budget does not reach have None for both figures.
    """
    options = static.checked(given)
    prepared = prepare(base, scratch, fold=options["preprocess"])
    ranges = scratch / "ranges.json"
    static.learn(prepared, calibration, options, ranges)
    right = _outputs(prepared, batches)
    nodes = nodes_of(prepared, options["op_types"])
    names = [name for name, _ in nodes]
    ends = time.monotonic() + budget_s
    everything = _sqnr(prepared, ranges, options, batches, right, scratch)
    yield {"position": -1, "node": "", "op_type": "", "alone_sqnr_db": None, "without_sqnr_db": everything}
    for position, (name, kind) in enumerate(nodes):
        entry: dict[str, Any] = {
            "position": position,
            "node": name,
            "op_type": kind,
            "alone_sqnr_db": None,
            "without_sqnr_db": None,
        }
        if time.monotonic() < ends:
            alone = {**options, "nodes_to_quantize": [name]}
            without = {**options, "nodes_to_exclude": [*(options["nodes_to_exclude"] or ()), name]}
            entry["alone_sqnr_db"] = _sqnr(prepared, ranges, alone, batches, right, scratch)
            entry["without_sqnr_db"] = (
                _sqnr(prepared, ranges, without, batches, right, scratch) if len(names) > 1 else None
            )
        yield entry


def _outputs(path: Path, batches: list[Tensors]) -> list[list[Any]]:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return [session.run(None, batch) for batch in batches]


def _sqnr(
    prepared: Path, ranges: Path, options: dict[str, Any], batches: list[Tensors], right: list[list[Any]], scratch: Path
) -> float | None:
    """Of all float outputs together; None where nothing was compared."""
    target = scratch / "trial.onnx"
    static.quantize(prepared, ranges, options, target)
    moments = Moments()
    for expected, actual in zip(right, _outputs(target, batches), strict=True):
        for one, other in zip(expected, actual, strict=True):
            if one.dtype.kind == "f":
                moments.add(one, other)
    made: float | None = moments.figures()["sqnr_db"]
    return made
