"""Inputs drawn by their dtype: whole numbers for integers, both values for bools, and no bound that is not kept.

The same seed draws the same values, and float inputs without bounds draw what they always did.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from assay.runner.tensors import Array, dtype_named, family_of, range_of
from assay.runner.workloads.asked import Inputs
from assay.runner.workloads.kinds import float_range, integer_range, kind_of


def draw(spec: Inputs, random: np.random.Generator) -> Array:
    """One array: of the shape, the dtype and the kind that are asked for."""
    dtype, kind = dtype_named(spec.dtype), kind_of(spec)
    values: Any
    if kind in _CONSTANTS or kind == "value":
        values = np.full(spec.shape, _CONSTANTS.get(kind, spec.value), np.float64)
    elif kind == "mask":
        values = _mask(spec.shape, random)
    elif kind in ("integers", "tokens"):
        values = _whole(spec, random)
    elif family_of(dtype) == "complex":
        values = _real(spec, kind, random) + 1j * _real(spec, kind, random)
    else:
        values = np.clip(_real(spec, kind, random), *range_of(dtype))
    drawn: Array = np.asarray(values).astype(dtype)
    return drawn


_CONSTANTS = {"zeros": 0.0, "ones": 1.0}


def _whole(spec: Inputs, random: np.random.Generator) -> Any:
    low, high = integer_range(spec)
    drawn = random.integers(low, high, spec.shape, dtype=np.int64 if high - 1 <= np.iinfo(np.int64).max else np.uint64)
    return _both(np.asarray(drawn), low, high, random) if spec.dtype == "bool" else drawn


def _both(values: Array, low: int, high: int, random: np.random.Generator) -> Array:
    """Bools with both values, where there is room for both and both are asked for."""
    if values.size > 1 and high - low > 1 and values.min() == values.max():
        values.reshape(-1)[random.integers(values.size)] ^= 1
    return values


def _real(spec: Inputs, kind: str, random: np.random.Generator) -> Any:
    low, high = float_range(spec)
    if kind == "uniform":
        return random.uniform(low, high, spec.shape)
    return np.clip(random.standard_normal(spec.shape) * spec.scale, low, high)


def _mask(shape: tuple[int, ...], random: np.random.Generator) -> Array:
    """Ones up to a length of each row's own, zeros behind it; of several rows one is full and one is not."""
    size, rows = shape[-1], int(np.prod(shape[:-1], dtype=np.int64))
    if size == 0 or rows == 0:
        return np.zeros(shape)
    lengths = random.integers(1, size + 1, rows)
    if rows > 1 and size > 1:
        lengths[np.argmax(lengths)] = size
        if lengths.min() == size:
            lengths[-1] = random.integers(1, size)
    return (np.arange(size) < lengths[:, None]).astype(np.float64).reshape(shape)
