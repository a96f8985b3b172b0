"""Values in codes (8-bit and wider integers, 8-bit and 16-bit floats), and what each could stand for."""

from __future__ import annotations

from functools import cache
from typing import Any

import ml_dtypes
import numpy as np

from assay.runner.tensors import Array

_BITS = {"int4": 4, "uint4": 4, "float4_e2m1fn": 4, "int2": 2, "uint2": 2}
_WIDE = 256


def is_float(dtype: Any) -> bool:
    """Whether codes are numbers with an exponent: there is no rounding to whole steps, and no zero point."""
    return np.dtype(dtype).kind == "f" or "float" in np.dtype(dtype).name


def bits(dtype: Any) -> int:
    """Bits that one element takes in a file."""
    return _BITS.get(np.dtype(dtype).name, int(np.dtype(dtype).itemsize) * 8)


def limits(dtype: Any) -> tuple[float, float]:
    """The lowest and the highest finite value of a type."""
    if is_float(dtype):
        info = ml_dtypes.finfo(dtype)
        return float(info.min), float(info.max)
    whole = ml_dtypes.iinfo(dtype)
    return float(whole.min), float(whole.max)


def typed(codes: Array, dtype: Any) -> Array:
    """Codes as what they are: ONNX Runtime gives types that numpy lacks as unsigned integers of their bits."""
    return codes if codes.dtype == dtype or codes.dtype.itemsize != np.dtype(dtype).itemsize else codes.view(dtype)


def decode(codes: Array, scale: Array, zero_point: Array | None, axis: int) -> Array:
    """(codes - zero point) * scale in float32; scale and zero point are of the tensor, or run along an axis.

    Integer codes are widened before they are subtracted: in eight bits, 10 - 128 would wrap. Float codes have no zero
    point.
    """
    if is_float(codes.dtype):
        return (codes.astype(np.float32) * along(scale.astype(np.float32), codes.ndim, axis)).astype(np.float32)
    wide = codes.astype(np.int32)
    if zero_point is not None:
        wide = wide - along(zero_point.astype(np.int32), wide.ndim, axis)
    return (wide * along(scale.astype(np.float32), wide.ndim, axis)).astype(np.float32)


def encode(values: Array, scale: Array, zero_point: Array | None, axis: int, dtype: Any) -> Array:
    """Codes of values, clipped to the type.

    Of an integer type they are round(values / scale) + zero point, half to even; of a float type, the nearest.
    """
    return encode_counting(values, scale, zero_point, axis, dtype)[0]


def encode_counting(values: Array, scale: Array, zero_point: Array | None, axis: int, dtype: Any) -> tuple[Array, int]:
    """Codes, and how many values lie more than half a step outside what they can stand for."""
    steps: Array = values / along(scale.astype(np.float32), values.ndim, axis)
    low, high = limits(dtype)
    step = 1.0
    if is_float(dtype):
        step = 2.0 ** np.floor(np.log2(high)) * float(ml_dtypes.finfo(dtype).eps)
    elif zero_point is not None:
        steps += along(zero_point.astype(np.float32), values.ndim, axis)
    beyond = int(np.count_nonzero((steps < low - step / 2) | (steps > high + step / 2)))
    if not is_float(dtype):
        np.rint(steps, out=steps)
    return np.clip(steps, low, high, out=steps).astype(dtype), beyond


def along(values: Array, ndim: int, axis: int) -> Array:
    if values.size == 1:
        return values.reshape(())
    shape = [1] * ndim
    shape[axis] = values.size
    return values.reshape(shape)


@cache
def in_order(name: str) -> tuple[list[int], int]:
    """Of an 8-bit type: its 256 codes by the value that each stands for, and how many of them are finite.

    Those that are not come last.
    """
    values = np.arange(_WIDE, dtype=np.uint8).view(np.dtype(name)).astype(np.float64)
    finite = int(np.isfinite(values).sum())
    return [int(code) for code in np.argsort(values, kind="stable")], finite


def counted(codes: Array) -> Array:
    """How often each code of an 8-bit type comes, by the value that it stands for."""
    order, _ = in_order(codes.dtype.name)
    return np.bincount(codes.reshape(-1).view(np.uint8), minlength=_WIDE)[order]
