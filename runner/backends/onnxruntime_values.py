"""ONNX Runtime's values as named arrays: dtypes that numpy lacks, text, sequences, maps and optional values.

What numpy has goes in and out as it is. bfloat16, the float8 types and those below a byte are handed over as bits, and
read where the value lies; sequences and maps come out as tensors with names of their own (`scores.cat`, `boxes.0`).
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import onnxruntime as ort

from assay.runner.tensors import TEXT, Array, Tensors, dtype_named, texts

DTYPES = {
    "tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16",
    "tensor(bfloat16)": "bfloat16", "tensor(int64)": "int64", "tensor(int32)": "int32", "tensor(int16)": "int16",
    "tensor(int8)": "int8", "tensor(uint64)": "uint64", "tensor(uint32)": "uint32", "tensor(uint16)": "uint16",
    "tensor(uint8)": "uint8", "tensor(bool)": "bool", "tensor(string)": TEXT,
    "tensor(float8e4m3fn)": "float8_e4m3fn", "tensor(float8e4m3fnuz)": "float8_e4m3fnuz",
    "tensor(float8e5m2)": "float8_e5m2", "tensor(float8e5m2fnuz)": "float8_e5m2fnuz",
    "tensor(int4)": "int4", "tensor(uint4)": "uint4", "tensor(int2)": "int2", "tensor(uint2)": "uint2",
    "tensor(float4e2m1)": "float4_e2m1fn",
}  # fmt: skip
"""What ONNX Runtime calls a tensor's type -> numpy's name of the dtype, or ml_dtypes'."""

_ONNX_NUMBERS = {
    "bfloat16": 16, "float8_e4m3fn": 17, "float8_e4m3fnuz": 18, "float8_e5m2": 19, "float8_e5m2fnuz": 20, "uint4": 21,
    "int4": 22, "float4_e2m1fn": 23, "uint2": 25, "int2": 26,
}  # fmt: skip
"""Dtypes that numpy lacks -> ONNX's number of the type (TensorProto.DataType)."""
_BITS = {"uint4": 4, "int4": 4, "float4_e2m1fn": 4, "uint2": 2, "int2": 2}
"""Of dtypes below a byte: several lie in one, the first in its lowest bits."""


def wanted(kind: str) -> str:
    """The dtype of what goes into a port: that of an optional value, or of a sequence's elements, is their own."""
    inner = re.fullmatch(r"(?:optional|seq)\((.*)\)", kind)
    return wanted(inner.group(1)) if inner else DTYPES.get(kind, kind)


def is_sequence(kind: str) -> bool:
    return kind.startswith(("seq(", "optional(seq("))


def is_optional(kind: str) -> bool:
    return kind.startswith("optional(")


def carried(kind: str) -> bool:
    """Whether a tensor of this type goes in and out as bits, because numpy has no such dtype."""
    return wanted(kind) in _ONNX_NUMBERS and not is_sequence(kind)


def value_of(array: Array, device: str = "cpu", index: int = 0) -> Any:
    """An OrtValue with the array's values. One on the CPU leans on the array that it keeps: see `Held`."""
    name = array.dtype.name
    if name not in _ONNX_NUMBERS:
        return ort.OrtValue.ortvalue_from_numpy(array, device, index)
    return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(_packed(array), _ONNX_NUMBERS[name])


def _packed(array: Array) -> Array:
    """The bits as ONNX has them, in an array of the same shape, in C order; below a byte, its end is unused."""
    array = np.asarray(array, order="C")
    bits = _BITS.get(array.dtype.name)
    if bits is None:
        return array.view(np.uint16 if array.dtype.itemsize == 2 else np.uint8)
    codes = array.reshape(-1).view(np.uint8) & ((1 << bits) - 1)
    each = 8 // bits
    codes = np.concatenate([codes, np.zeros(-codes.size % each, np.uint8)]).reshape(-1, each)
    packed = np.zeros(codes.shape[0], np.uint8)
    for place in range(each):
        packed |= codes[:, place] << np.uint8(place * bits)
    made = np.zeros(array.size, np.uint8)
    made[: packed.size] = packed
    return made.reshape(array.shape)


def array_of(value: Any) -> Array | None:
    """The values of an OrtValue that holds a tensor; the array is the caller's to keep. None of an optional without.

    Raises:
        ValueError: it lies on a device, where its bits cannot be read.
    """
    if not value.has_value():
        return None
    name = DTYPES.get(value.data_type(), "")
    if name not in _ONNX_NUMBERS:
        return as_array(value.numpy())
    if value.device_name().lower() != "cpu":
        raise ValueError(f"an output of {name} lies on {value.device_name()}, where it cannot be read")
    shape = tuple(value.shape())
    count = int(np.prod(shape, dtype=np.int64))
    dtype, bits = dtype_named(name), _BITS.get(name)
    size = count * dtype.itemsize if bits is None else -(-count * bits // 8)
    raw = np.frombuffer(ctypes.string_at(value.data_ptr(), size) if size else b"", np.uint8)
    if bits is None:
        return raw.copy().view(dtype).reshape(shape)
    spread = np.stack([(raw >> np.uint8(place * bits)) & np.uint8((1 << bits) - 1) for place in range(8 // bits)], -1)
    codes = spread.reshape(-1)[:count]
    if name.startswith("int"):  # ml_dtypes keeps the sign in the whole byte
        codes = ((codes ^ np.uint8(1 << (bits - 1))) - np.uint8(1 << (bits - 1))).astype(np.uint8)
    return codes.view(dtype).reshape(shape)


def as_array(value: Any) -> Array:
    """A tensor as ONNX Runtime's Python gives it; text as an object array."""
    array = np.asarray(value)
    return texts(array) if array.dtype.kind in "OSU" else array


def named(name: str, value: Any, kind: str) -> Iterator[tuple[str, Array]]:
    """An output as tensors with names: itself, a map's values by key, a sequence's elements by number.

    Maps of the same keys in a sequence (ZipMap: one a row) are one tensor a key, a row each: `scores.cat`, shape (N,).
    Where keys differ from row to row, each row is named: `scores.0.cat`. An empty sequence is `NAME.length`, 0. An
    optional value that is left out is nothing. `kind` is ONNX Runtime's type of the port: it says what plain numbers
    of a map are.
    """
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from named(f"{name}.{key}", inner, kind)
    elif isinstance(value, list | tuple):
        keys = {tuple(row) for row in value if isinstance(row, Mapping)}
        if len(keys) == 1 and all(isinstance(row, Mapping) for row in value):
            for key in keys.pop():
                yield f"{name}.{key}", _numbers([row[key] for row in value], kind)
            return
        for number, inner in enumerate(value):
            yield from named(f"{name}.{number}", inner, kind)
        if not value:
            yield f"{name}.length", np.zeros((), np.int64)
    elif isinstance(value, np.ndarray):
        yield name, as_array(value)
    elif value is not None:
        yield name, _numbers(value, kind)


def _numbers(values: Any, kind: str) -> Array:
    """What a map holds, Python's own numbers or text, in the dtype that its type names."""
    innermost = re.search(r"tensor\(\w+\)", kind)
    return as_array(np.asarray(values, dtype_named(DTYPES[innermost.group()]) if innermost else None))


def gathered(ports: Mapping[str, str], inputs: Tensors) -> dict[str, Any]:
    """Inputs by port (name -> type): the elements `x.0`, `x.1` of a sequence `x` as a list, the others as they are."""
    made: dict[str, Any] = {}
    for name, kind in ports.items():
        if is_sequence(kind):
            elements = [inputs[f"{name}.{i}"] for i in range(len(inputs)) if f"{name}.{i}" in inputs]
            made |= {name: elements} if elements else {}
        elif name in inputs:
            made[name] = inputs[name]
    return made
