"""How inputs of a dtype are drawn: the family that it counts as, its kind of draw, and the range of that."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from assay.runner.tensors import dtype_named, family_of, range_of

if TYPE_CHECKING:
    from assay.runner.workloads.asked import Inputs

_BYTES = ("int8", "uint8")


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
