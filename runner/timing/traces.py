"""Profiles of ONNX Runtime as layers: what every operator cost, and what the allocator held.

Pure: events in, rows out.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Layer = dict[str, Any]
"""The columns of `assay.schema.rows.Layer` that a profile knows."""


def onnxruntime_layers(
    events: Iterable[Mapping[str, Any]], last_runs: int | None = None
) -> tuple[list[Layer], dict[str, int]]:
    """Layers of a Chrome trace as ONNX Runtime writes it, in the order of their first run, and the memory it names.

    `last_runs` counts only that many runs at the end: those before warm up. Memory is in bytes: `allocator_peak_bytes`
    (most in use) and `arena_bytes` (most held), left out where the trace has none. Empty without node events.
    """
    every = list(events)
    runs = sorted(e["ts"] for e in every if e.get("name") == "model_run")
    since = runs[-last_runs] if last_runs and len(runs) >= last_runs else 0
    nodes = [e for e in every if e.get("cat") == "Node" and e["ts"] >= since and e["name"].endswith("_kernel_time")]
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for event in nodes:
        found.setdefault((event["name"].removesuffix("_kernel_time"), event["args"]["op_name"]), []).append(event)
    layers = [_layer(name, kind, some) for (name, kind), some in found.items()]
    memory = {}
    for field, name in (("mem_in_use_peak", "allocator_peak_bytes"), ("mem_arena_held", "arena_bytes")):
        values = [int(e["args"][field]) for e in every if e.get("cat") == "Node" and field in e.get("args", {})]
        if values:
            memory[name] = max(values)
    return with_shares(layers), memory


def _layer(name: str, kind: str, events: Sequence[Mapping[str, Any]]) -> Layer:
    first = events[0]["args"]
    shapes = _typed(first.get("output_type_shape"))
    inputs = _typed(first.get("input_type_shape"))
    return {
        "name": name,
        "op_type": kind,
        "provider": first.get("provider", "unknown"),
        "precision": " x ".join(kind for kind, _ in inputs) or None,
        "calls": len(events),
        "total_ms": sum(e["dur"] for e in events) / 1e3,
        "median_us": float(statistics.median(e["dur"] for e in events)),
        "output_shape": str(shapes[0][1]) if shapes else None,
        "output_bytes": _whole(first.get("output_size")),
        "parameter_bytes": _whole(first.get("parameter_size")),
        "input_shapes": [shape for _, shape in inputs],
    }


def _typed(shapes: Any) -> list[tuple[str, list[int]]]:
    return [(kind, shape) for one in shapes or [] for kind, shape in one.items()]


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)


def with_shares(layers: list[Layer]) -> list[Layer]:
    """Layers with their position and their share of the time of all."""
    total = sum(layer["total_ms"] for layer in layers) or 1.0
    return [{**layer, "position": i, "share": layer["total_ms"] / total} for i, layer in enumerate(layers)]


_LAYOUT = "_nchwc"
"""Convolutions in a blocked layout are named after the tensor that they make."""


def as_written(layers: list[Layer], nodes: Iterable[tuple[str, str, Sequence[str], Sequence[str]]]) -> list[Layer]:
    """Layers of a blocked layout under the name of the node that they stand for.

    `nodes` are (name, operator, inputs, outputs) of the file; where an activation was fused behind it, the operator
    before that is meant.
    """
    maker = {output: (name, kind, inputs) for name, kind, inputs, outputs in nodes for output in outputs}
    made = []
    for layer in layers:
        name, kind = layer["name"], layer["op_type"]
        found = maker.get(name.removesuffix(_LAYOUT)) if name.endswith(_LAYOUT) else None
        for _ in range(3):  # a sum and an activation can follow
            if found is None or found[1] == kind:
                break
            found = next(
                (before for tensor in found[2] if (before := maker.get(tensor)) and before[1] == kind), None
            ) or (maker.get(found[2][0]) if found[2] else None)
        made.append({**layer, "name": found[0]} if found is not None and found[0] else layer)
    return made


_QUANTIZED = re.compile(r"(_MatMul)?_quant(ized)?$")
_TOKEN = re.compile(r"_token_\d+$")
_FUSED = re.compile(r"/\w*Fusion\w*/?$")


def original_name(name: str) -> str:
    """The name that a node had before it was quantized or fused."""
    return _QUANTIZED.sub("", _TOKEN.sub("", _FUSED.sub("", name.removeprefix("fused "))))


def matched(layers: list[Layer], reference: list[Layer]) -> list[Layer]:
    """Layers with the reference variant's layer of the same original name, and its median."""
    known = {original_name(layer["name"]): layer for layer in reference}
    made = []
    for layer in layers:
        other = known.get(original_name(layer["name"]))
        made.append({**layer, "reference_name": other and other["name"], "reference_us": other and other["median_us"]})
    return made
