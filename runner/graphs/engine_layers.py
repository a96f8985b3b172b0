"""The engine inspector's JSON as layers, as TensorRT 10 and 11 write it.

Version 10 has `Bindings` and `Format/Datatype`; 11 has `I/O Tensors`, with format and type apart.
`trtexec --exportLayerInfo --profilingVerbosity=detailed` writes it, `IEngineInspector.get_engine_information` gives it.
Without detailed verbosity a layer is only a name: then no precision is known, and none is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.runner.errors import UsageError
from assay.schema.reading import MEASURED, json_document, reading

_TYPES = {
    "fp32": "float32", "float": "float32", "float32": "float32", "tf32": "float32", "half": "float16", "fp16": "float16", "float16": "float16",
    "bf16": "bfloat16", "bfloat16": "bfloat16", "int8": "int8", "fp8": "float8", "float8": "float8", "e4m3": "float8", "int4": "int4", "fp4": "float4",
    "e2m1": "float4", "int32": "int32", "int64": "int64", "bool": "bool", "uint8": "uint8",
}  # fmt: skip
"""Words for a type in either schema -> its name here."""
_WORD = re.compile("|".join(sorted(_TYPES, key=len, reverse=True)), re.IGNORECASE)
_ONNX = re.compile(r"\[ONNX Layer: ([^\]]+)\]")
_REFORMATS = ("reformat", "noop", "shuffle_reformat")
_PRODUCTS = ("conv", "gemm", "matrixmultiply", "matrix_multiply", "fully", "attention", "mha", "myelin", "kgen")
_QUANTIZES = ("quantize", "dequantize")


@dataclass(frozen=True, slots=True)
class LayerPort:
    name: str
    shape: tuple[int, ...]
    dtype: str | None
    """None where the file does not say."""
    layout: str


@dataclass(frozen=True, slots=True)
class EngineLayer:
    name: str
    kind: str
    """LayerType, or `layer` where only names were written."""
    inputs: tuple[LayerPort, ...]
    outputs: tuple[LayerPort, ...]
    weights: str | None
    """Type of its weights."""
    nodes: tuple[str, ...]
    """ONNX nodes that were fused into it; its own name where the file does not say."""
    tactic: str
    stream: int | None

    @property
    def reformats(self) -> bool:
        """Whether it only copies a tensor into another layout or type."""
        return any(word in f"{self.kind} {self.name}".lower() for word in _REFORMATS)

    @property
    def multiplies(self) -> bool:
        """Whether it does the work that a lower precision is for.

        Convolutions, products, attention, and what was compiled around them.
        """
        text = f"{self.kind} {self.name}".lower()
        return not self.reformats and not self.quantizes and any(word in text for word in _PRODUCTS)

    @property
    def quantizes(self) -> bool:
        """Whether it is a Q or DQ that was fused into nothing."""
        return self.kind.lower() in _QUANTIZES or any(
            node.lower().endswith(_QUANTIZES_NODES) for node in self.nodes if len(self.nodes) == 1
        )

    @property
    def precision(self) -> str | None:
        """The narrowest type among what it reads first and its weights: what its products are made in."""
        types = [t for t in ((self.inputs[0].dtype if self.inputs else None), self.weights) if t]
        return min(types, key=_width) if types else None


_QUANTIZES_NODES = ("quantizelinear", "dequantizelinear")


@dataclass(frozen=True, slots=True)
class Engine:
    layers: tuple[EngineLayer, ...]
    ports: tuple[str, ...]
    detailed: bool
    """Whether layers have types and shapes."""


def _width(dtype: str) -> int:
    digits = re.search(r"\d+", dtype)
    return int(digits.group()) if digits else 64


def read(text: str) -> Engine:
    """An engine's layers.

    Raises:
        UsageError: it is not the inspector's JSON.
    """
    document = json_document(text, "the engine's layers", MEASURED)
    if not isinstance(document, Mapping) or not isinstance(document.get("Layers"), Sequence):
        raise UsageError("not what the engine inspector writes: there is no list `Layers`.")
    with reading("the engine's layers", "what the engine inspector writes"):
        return _engine(document)


def _engine(document: Mapping[str, Any]) -> Engine:
    layers = tuple(_layer(raw) for raw in document["Layers"])
    told = document.get("I/O Tensors", document.get("Bindings", ()))
    ports = tuple(str(port.get("Name", "?")) if isinstance(port, Mapping) else str(port) for port in told)
    return Engine(layers, ports, any(layer.inputs or layer.outputs for layer in layers))


def _layer(raw: Any) -> EngineLayer:
    facts: Mapping[str, Any] = raw if isinstance(raw, Mapping) else {"Name": str(raw)}
    name = str(facts.get("Name", "?"))
    weights = facts.get("Weights")
    return EngineLayer(
        name=name,
        kind=str(facts.get("LayerType", "layer")),
        inputs=_ports(facts.get("Inputs")),
        outputs=_ports(facts.get("Outputs")),
        weights=(
            _type(str(weights.get("Type", ""))) if isinstance(weights, Mapping) and weights.get("Count", 1) else None
        ),
        nodes=_nodes(name, str(facts.get("Metadata", ""))),
        tactic=str(facts.get("TacticName", "")),
        stream=int(facts["StreamId"]) if isinstance(facts.get("StreamId"), int) else None,
    )


def _ports(raw: Any) -> tuple[LayerPort, ...]:
    if not isinstance(raw, Sequence) or isinstance(raw, str):
        return ()
    made = []
    for port in raw:
        if isinstance(port, Mapping):
            both = str(port.get("Format/Datatype", ""))
            dtype = str(port.get("Datatype") or port.get("DataType") or both)
            shape = tuple(int(d) for d in port.get("Dimensions", ()) if isinstance(d, int))
            made.append(LayerPort(str(port.get("Name", "?")), shape, _type(dtype), str(port.get("Format") or both)))
    return tuple(made)


def _type(words: str) -> str | None:
    found = _WORD.search(words)
    return _TYPES[found.group().lower()] if found else None


def _nodes(name: str, metadata: str) -> tuple[str, ...]:
    """From the metadata of ONNX layers; else from the name, which joins what was fused with ` + `."""
    found = _ONNX.findall(metadata)
    return tuple(dict.fromkeys(found)) if found else tuple(part.strip() for part in name.split(" + "))
