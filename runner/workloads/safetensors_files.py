"""Safetensors with every dtype that they may have: the library's own reader for numpy has no float8 types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from assay.runner.errors import BadDocument
from assay.runner.tensors import Array, Tensors, dtype_named
from assay.schema.reading import json_document

_DTYPES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "U32": "uint32", "I32": "int32",
    "U64": "uint64", "I64": "int64", "F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64",
    "C64": "complex64", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F8_E8M0": "float8_e8m0fnu",
    "F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2FNUZ": "float8_e5m2fnuz",
}  # fmt: skip
"""What the format calls a dtype -> numpy's name of it, or ml_dtypes'."""
_PREFIX = 8
"""Bytes that say how long the header is (https://huggingface.co/docs/safetensors, "Format")."""


def read(path: Path) -> Tensors:
    """Every tensor of a file by name.

    Raises:
        ValueError: it is cut short, or holds a dtype that there is no array of.
    """
    if not path.is_file():
        raise BadDocument(f"{path} is no plain file.")
    whole = np.memmap(path, np.uint8, "r")
    if whole.size < _PREFIX:
        raise ValueError("it is cut short")
    begins = _PREFIX + int.from_bytes(whole[:_PREFIX].tobytes(), "little")
    if begins > whole.size:
        raise ValueError("it is cut short")
    header = json_document(whole[_PREFIX:begins].tobytes(), "its header")
    return {name: _tensor(name, facts, whole[begins:]) for name, facts in header.items() if name != "__metadata__"}


def _tensor(name: str, facts: dict[str, Any], data: Array) -> Array:
    kind = facts["dtype"]
    start, stop = facts["data_offsets"]
    if kind not in _DTYPES:
        raise ValueError(f"{name!r} has dtype {kind}, which there are no arrays of")
    if not 0 <= start <= stop <= data.size:
        raise ValueError("it is cut short")
    values: Array = np.array(data[start:stop]).view(dtype_named(_DTYPES[kind]))
    return values.reshape(facts["shape"])
