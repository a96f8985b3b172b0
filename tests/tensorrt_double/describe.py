"""What TensorRT's Python bindings really have, as JSON.

Run by an interpreter that imports them, see `tests/runner/backends/test_tensorrt_api.py`.

Members are `property`, `read-only`, or for functions the parameters of each overload: (name, whether it may be left
out).
"""

from __future__ import annotations

import inspect
import json
import re
from typing import Any

CLASSES = (
    "Builder", "INetworkDefinition", "IBuilderConfig", "IOptimizationProfile", "OnnxParser", "ParserError", "Runtime", "ICudaEngine",
    "IExecutionContext", "EngineInspector", "IProfiler", "IDebugListener", "IOutputAllocator", "Refitter", "OnnxParserRefitter", "ITimingCache",
    "IHostMemory", "ITensor", "ILayer", "ILogger", "Logger",
)  # fmt: skip
ENUMS = (
    "BuilderFlag", "NetworkDefinitionCreationFlag", "MemoryPoolType", "ProfilingVerbosity", "HardwareCompatibilityLevel", "TensorIOMode",
    "TensorLocation", "DataType", "LayerInformationFormat", "EngineStat", "ExecutionContextAllocationStrategy",
)  # fmt: skip


def describe(module: Any) -> dict[str, Any]:
    """Version, members of the classes and names of the enumerations that Assay could use."""
    return {
        "version": module.__version__,
        "classes": {name: _members(getattr(module, name)) for name in CLASSES},
        "enums": {name: {k: int(v) for k, v in getattr(module, name).__members__.items()} for name in ENUMS},
        "functions": [name for name in ("volume", "nptype", "init_libnvinfer_plugins") if hasattr(module, name)],
    }


def _members(cls: type) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind in reversed(cls.__mro__):
        if kind.__module__ == "builtins" or kind.__name__ == "pybind11_object":
            continue
        for name, member in vars(kind).items():
            if name.startswith("_") and name not in ("__init__", "__len__", "__getitem__"):
                continue
            if isinstance(member, property):
                found[name] = "property" if member.fset else "read-only"
            elif callable(getattr(cls, name)):
                found[name] = _signatures(inspect.getdoc(getattr(cls, name)) or "", name)
    return found


def _signatures(text: str, name: str) -> list[list[tuple[str, bool]]]:
    lines = [re.sub(r"^\d+\. ", "", line) for line in text.splitlines()]
    return [_parameters(line) for line in lines if line.startswith(f"{name}(") and "*args" not in line and "->" in line]


def _parameters(line: str) -> list[tuple[str, bool]]:
    """Of `name(self: A, x: int, y: str = 'a') -> B` the names after self."""
    inside = line[line.index("(") + 1 : line.rindex(") ->")]
    parts, depth, start = [], 0, 0
    for i, letter in enumerate(inside):
        depth += letter in "[(<{"
        depth -= letter in "])>}"
        if letter == "," and depth == 0:
            parts.append(inside[start:i])
            start = i + 1
    parts.append(inside[start:])
    named = [part.strip() for part in parts if part.strip()]
    return [
        (part.split(":")[0].split("=")[0].strip(), "=" in part)
        for part in named
        if part.split(":")[0].strip() != "self"
    ]


if __name__ == "__main__":
    import tensorrt_bindings

    print(json.dumps(describe(tensorrt_bindings), indent=1, sort_keys=True))
