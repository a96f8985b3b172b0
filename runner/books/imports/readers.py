"""Files of other measuring tools as cases: one function each, parsed JSON or text in, what it states out. Pure.

Formats: trtexec (`--exportTimes`, `--exportProfile`, `--exportLayerInfo`), Polygraphy (`--save-outputs`), ONNX Runtime
profiles, pytest-benchmark (`--benchmark-json`), CSV with a mapping of columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from assay.runner.errors import UsageError, nearest
from assay.runner.timing.traces import Layer, onnxruntime_layers, with_shares
from assay.schema.metrics import METRICS
from assay.schema.reading import MEASURED, csv_rows, json_document


@dataclass(slots=True)
class Imported:
    """What one case of a file states."""

    name: str = ""
    """Told apart from others of the same file by this; empty when the file has one case."""
    samples_ms: list[float] = field(default_factory=list)
    """Wall time of single calls."""
    values: dict[str, float] = field(default_factory=dict)
    """Metric -> value, for figures that come without samples."""
    layers: list[Layer] = field(default_factory=list)
    states: str = ""
    """What the file says of how it was measured."""


@dataclass(frozen=True, slots=True)
class Format:
    read: Callable[[str, Sequence[str]], list[Imported]]
    backend: str
    device: str


def _json(text: str) -> Any:
    return json_document(text, "it", MEASURED)


def _number(value: Any, what: str) -> float:
    """A finite number, or an error: an imported figure is believed, so it must be one."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise UsageError(f"{what} is {value!r}, which is no number.") from None
    if not math.isfinite(number):
        raise UsageError(f"{what} is {number}, which no measurement is.")
    return number


_LATENCY_KEYS = ("latencyMs", "endToEndMs", "computeMs")
_PARTS = {
    "enqueue_ms": ("enqMs", "enqueueMs"),
    "h2d_ms": ("h2dMs", "inMs"),
    "compute_ms": ("computeMs",),
    "d2h_ms": ("d2hMs", "outMs"),
}


def trtexec(text: str, _: Sequence[str]) -> list[Imported]:
    """Any of trtexec's three exports; the times of host latency are the samples, its parts are medians."""
    document = _json(text)
    if isinstance(document, dict) and "Layers" in document:
        return [Imported(layers=with_shares([_engine_layer(layer) for layer in document["Layers"]]))]
    if isinstance(document, list) and document and isinstance(document[0], dict):
        if "count" in document[0]:
            calls = int(_number(document[0]["count"], "count"))
            return [Imported(layers=with_shares([_profiled_layer(layer, calls) for layer in document[1:]]))]
        key = next((key for key in _LATENCY_KEYS if key in document[0]), None)
        if key is not None:
            return [_times(document, key)]
    raise UsageError(
        "it is none of trtexec's exports: times (a list with latencyMs), profile (a list that begins with count), layer"
        " info (Layers)."
    )


def _times(document: Sequence[Mapping[str, Any]], key: str) -> Imported:
    made = Imported("", [_number(record.get(key), key) for record in document], states=f"trtexec, {key}")
    for metric, names in _PARTS.items():
        name = next((name for name in names if name in document[0]), None)
        if name is not None:
            ordered = sorted(_number(record.get(name), name) for record in document)
            made.values[metric] = ordered[len(ordered) // 2]
    return made


def _profiled_layer(layer: Mapping[str, Any], calls: int) -> Layer:
    name = str(layer.get("name", "?"))
    median = layer.get("medianMs", layer.get("averageMs", 0.0))
    return {
        "name": name,
        "op_type": "layer",
        "provider": "tensorrt",
        "precision": None,
        "calls": calls,
        "total_ms": _number(layer.get("timeMs"), f"timeMs of {name}"),
        "median_us": _number(median, f"time of {name}") * 1e3,
        "output_shape": None,
        "output_bytes": None,
        "parameter_bytes": None,
    }


def _engine_layer(layer: Any) -> Layer:
    """A layer of the engine inspector: a name only, or with details."""
    facts: Mapping[str, Any] = layer if isinstance(layer, Mapping) else {"Name": str(layer)}
    inputs = [str(port.get("Format/Datatype") or port.get("Datatype") or "?") for port in facts.get("Inputs", [])]
    outputs = facts.get("Outputs", [])
    return {
        "name": str(facts.get("Name", "?")),
        "op_type": str(facts.get("LayerType", "layer")),
        "provider": "tensorrt",
        "precision": " x ".join(inputs) or None,
        "calls": 0,
        "total_ms": 0.0,
        "median_us": 0.0,
        "output_shape": str(outputs[0].get("Dimensions")) if outputs else None,
        "output_bytes": None,
        "parameter_bytes": None,
    }


def polygraphy(text: str, _: Sequence[str]) -> list[Imported]:
    """RunResults: one case a runner; the runtimes of its iterations are the samples."""
    document = _json(text)
    entries = document.get("lst") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise UsageError("it is no RunResults of Polygraphy: it has no 'lst'.")
    made = []
    for runner, iterations in entries:
        times = [
            _number(one.get("runtime"), f"runtime of {runner}") * 1e3
            for one in iterations
            if isinstance(one, Mapping) and one.get("runtime") is not None
        ]
        if times:
            made.append(Imported(str(runner), times, states="Polygraphy"))
    return made


def onnxruntime(text: str, _: Sequence[str]) -> list[Imported]:
    """A profile of a session: layers, and the times of its runs, which profiling makes longer."""
    document = _json(text)
    if not isinstance(document, list) or not any(isinstance(e, dict) and e.get("cat") == "Session" for e in document):
        raise UsageError("it is no profile of ONNX Runtime: a list of events with the category 'Session'.")
    layers, memory = onnxruntime_layers(document)
    runs = [_number(e["dur"], "dur") / 1e3 for e in document if e.get("name") == "model_run"]
    return [Imported("", runs, {name: float(value) for name, value in memory.items()}, layers, "profiled")]


def pytest_benchmark(text: str, _: Sequence[str]) -> list[Imported]:
    """One case a benchmark: its rounds are the samples, or its median where they were not saved."""
    document = _json(text)
    if not isinstance(document, dict) or "benchmarks" not in document:
        raise UsageError("it is no file of pytest-benchmark: it has no 'benchmarks'.")
    made = []
    for one in document["benchmarks"]:
        name, stats = str(one.get("name", "?")), one.get("stats", {})
        data = [_number(value, f"round of {name}") * 1e3 for value in stats.get("data", [])]
        values = (
            {}
            if data
            else {
                "latency_p50_ms": _number(stats.get("median"), f"median of {name}") * 1e3,
                "latency_mean_ms": _number(stats.get("mean"), f"mean of {name}") * 1e3,
            }
        )
        made.append(Imported(name, data, values, states="pytest-benchmark"))
    return made


def comma_separated(text: str, mapping: Sequence[str]) -> list[Imported]:
    """Rows with figures: `METRIC=COLUMN` for each, and `name=COLUMN` for what tells rows apart."""
    chosen = dict(_pair(one) for one in mapping)
    named = chosen.pop("name", None)
    if not chosen:
        raise UsageError("csv needs at least one --map METRIC=COLUMN, e.g. --map latency_p50_ms=median.")
    for metric in chosen:
        if metric not in METRICS:
            raise UsageError(f"--map {metric}=...: there is no metric {metric!r}.{nearest(metric, METRICS)}")
    header, found = csv_rows(text, "it")
    for column in (*chosen.values(), *([named] if named else [])):
        if column not in header:
            raise UsageError(f"there is no column {column!r}.{nearest(column, header)}")
    return list(_csv_cases(found, chosen, named))


def _csv_cases(found: Sequence[Mapping[str, str]], chosen: Mapping[str, str], named: str | None) -> Iterator[Imported]:
    for line, row in enumerate(found, 2):
        values = {
            metric: _number(row[column], f"line {line}, column {column!r}")
            for metric, column in chosen.items()
            if row[column]
        }
        if values:
            yield Imported(str(row[named]) if named else f"line {line}", [], values, states="csv")


def _pair(text: str) -> tuple[str, str]:
    name, equals, column = text.partition("=")
    if not equals or not name or not column:
        raise UsageError(f"--map is METRIC=COLUMN, not {text!r}.")
    return name, column


FORMATS = {
    "trtexec": Format(trtexec, "tensorrt", "cuda"), "polygraphy": Format(polygraphy, "polygraphy", "cpu"),
    "onnxruntime": Format(onnxruntime, "onnxruntime", "cpu"), "pytest-benchmark": Format(pytest_benchmark, "python", "cpu"),
    "csv": Format(comma_separated, "unknown", "unknown"),
}  # fmt: skip
