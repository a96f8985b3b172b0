"""How inputs of a dtype are drawn: the family that it counts as, its kind of draw, and the range of that."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import ml_dtypes
import numpy as np

from assay.runner.tensors import dtype_named

if TYPE_CHECKING:
    from assay.runner.workloads.asked import Inputs

Family = Literal["bool", "integer", "float", "complex"]
_BYTES = ("int8", "uint8")


def family_of(dtype: np.dtype[Any]) -> Family:
    """What a dtype counts as; the types of `ml_dtypes` are whole numbers or floats like any other.

    Raises:
        ValueError: it holds no numbers.
    """
    if dtype.kind in "biufc":
        families: dict[str, Family] = {"b": "bool", "i": "integer", "u": "integer", "f": "float", "c": "complex"}
        return families[dtype.kind]
    for family, info in (("integer", ml_dtypes.iinfo), ("float", ml_dtypes.finfo)):
        try:
            info(dtype)
        except ValueError:
            continue
        found: Family = "integer" if family == "integer" else "float"
        return found
    raise ValueError(f"{dtype.name} holds no numbers: give such inputs by a generator or a file")


def range_of(dtype: np.dtype[Any]) -> tuple[float, float]:
    """The least and the largest finite value of a dtype; of a complex one, of its parts."""
    family = family_of(dtype)
    if family == "bool":
        return 0, 1
    if family == "integer":
        whole: Any = ml_dtypes.iinfo(dtype)
        return int(whole.min), int(whole.max)
    info: Any = ml_dtypes.finfo(dtype)
    return float(info.min), float(info.max)


def kind_of(spec: Inputs) -> str:
    """What is drawn: as it is written, or what the dtype and the keys beside it say."""
    family = family_of(dtype_named(spec.dtype))
    bounded = spec.low is not None or spec.high is not None
    if spec.distribution is None:
        if spec.scale != 1:
            return "normal"
        if family in ("bool", "integer"):
            return "integers"
        return "uniform" if bounded else "normal"
    if family == "bool" and spec.distribution in ("uniform", "normal"):
        return "integers"
    if family == "integer" and spec.distribution == "uniform" and not bounded:
        return "integers"  # between 0 and 1 there is no other whole number
    return spec.distribution


def integer_range(spec: Inputs) -> tuple[int, int]:
    """Whole numbers from the first up to the second, which is left out.

    0 and 1 where nothing is said: an id, a length, a mask or a flag is one of these more often than not, and any table
    of ids has both. Bytes (int8, uint8) take all of their values, bools both.
    """
    if spec.vocabulary is not None:
        return int(spec.low or 0), spec.vocabulary
    least, most = (int(end) for end in (range_of(dtype_named(spec.dtype)) if spec.dtype in _BYTES else (0, 1)))
    low = least if spec.low is None and spec.high is None else int(spec.low or 0)
    high = most + 1 if spec.high is None else int(spec.high)
    return low, 2 if spec.dtype == "bool" and high == 1 else high


def float_range(spec: Inputs) -> tuple[float, float]:
    """From the first up to the second: 0 and 1 where nothing is said, no end of a normal distribution."""
    ends = (-math.inf, math.inf) if kind_of(spec) == "normal" else (0.0, 1.0)
    return (ends[0] if spec.low is None else spec.low), (ends[1] if spec.high is None else spec.high)
