"""What tolerance the noise allows: wide enough that nothing but noise fails no more than so often. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

FALSE_ALARMS = 1e-3
"""Comparisons of one output at one step that may fail although nothing is wrong."""
_LEAST = 4


@dataclass(frozen=True, slots=True)
class Advice:
    atol: float
    rtol: float
    n: int
    """Largest errors that it rests on."""
    basis: str


def advise(
    maxima: Mapping[str, Sequence[float]], expected_max: float, epsilon: float, *, false_alarms: float = FALSE_ALARMS
) -> Advice | None:
    """A mixed tolerance from the largest errors of each source of noise, one a step.

    Largest errors of many elements follow Gumbel's distribution (Gumbel 1958): its quantile at 1 - `false_alarms`,
    fitted by moments to each source, and the widest of the sources. `float64` is how far float32 arithmetic is from
    exact; another implementation is as far again in another direction, so its errors count root-two-fold. atol never
    goes below one unit in the last place (`epsilon`) of the largest expected value; rtol is atol over that value. None
    with fewer than 4 errors.
    """
    limits = {}
    for source, values in maxima.items():
        known = np.array([v for v in values if math.isfinite(v)])
        if known.size >= _LEAST:
            limits[source] = gumbel_quantile(known, 1 - false_alarms) * (math.sqrt(2) if source == "float64" else 1.0)
    if not limits:
        return None
    widest = max(limits, key=lambda source: limits[source])
    floor = epsilon * max(expected_max, 0.0)
    atol = max(limits[widest], floor)
    rtol = atol / expected_max if expected_max > 0 else 0.0
    n = sum(len(values) for values in maxima.values())
    return Advice(
        _two_digits(atol),
        _two_digits(min(rtol, 1.0)),
        n,
        widest if limits[widest] >= floor else "one unit in the last place",
    )


def gumbel_quantile(values: np.ndarray[tuple[int], np.dtype[np.float64]], q: float) -> float:
    """Quantile of Gumbel's distribution with the mean and standard deviation of the values."""
    scale = float(values.std(ddof=1)) * math.sqrt(6) / math.pi
    location = float(values.mean()) - 0.5772156649015329 * scale
    return location - scale * math.log(-math.log(q))


def _two_digits(value: float) -> float:
    """Rounded up to two significant digits."""
    if value <= 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / unit - 1e-9) * unit:.6g}")
