"""Does an error, or the latency, grow from step to step? Pure: numbers in, numbers out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_ALPHA = 0.05
_LARGEST_CORRELATION = 0.95
_MOST_POINTS = 1000
"""Theil and Sen's slope looks at all pairs: longer series are thinned evenly to this many."""


@dataclass(frozen=True, slots=True)
class Trend:
    n: int
    slope: float
    """Per step."""
    low: float
    high: float
    p_value: float
    peak_step: int
    peak: float

    @property
    def direction(self) -> str:
        """`increasing`, `decreasing` or `none`."""
        if self.p_value >= _ALPHA or self.slope == 0:
            return "none"
        return "increasing" if self.slope > 0 else "decreasing"


def trend(steps: Sequence[int], values: Sequence[float]) -> Trend | None:
    """Theil-Sen slope with Sen's 95 % interval (Sen 1968), and Mann and Kendall's test.

    The test's variance is corrected for autocorrelation. None with fewer than 4 finite values; a constant series has
    slope 0 and p 1.
    """
    pairs = [(step, value) for step, value in zip(steps, values, strict=True) if math.isfinite(value)]
    if len(pairs) < 4:
        return None
    peak_step, peak = max(pairs, key=lambda pair: pair[1])
    if len(pairs) > _MOST_POINTS:
        pairs = [pairs[round(i)] for i in np.linspace(0, len(pairs) - 1, _MOST_POINTS)]
    x, y = np.array([p[0] for p in pairs], float), np.array([p[1] for p in pairs], float)
    if np.ptp(y) == 0:
        return Trend(len(pairs), 0.0, 0.0, 0.0, 1.0, peak_step, peak)
    from scipy import stats  # it takes a second to load, and most commands judge nothing

    slope, _, low, high = stats.theilslopes(y, x, alpha=1 - _ALPHA)
    return Trend(len(pairs), float(slope), float(low), float(high), mann_kendall(y, float(slope)), peak_step, peak)


def mann_kendall(values: np.ndarray[Any, np.dtype[Any]], slope: float = 0.0) -> float:
    """Two-sided p-value of no trend.

    The variance of S is that of independent values times (1 + r) / (1 - r), the inflation of an AR(1) series (von
    Storch 1995); r is the lag-1 autocorrelation of the ranks of what is left when the slope is taken out, corrected for
    its bias (Kendall 1954), and never below 0. On AR(1) noise without trend, 100 values, 300 series each, p < 0.05 in
    3, 4, 6 and 10 % for r = 0, 0.3, 0.6, 0.9 (Hamed and Rao's correction: 10 % at 0 and 20 % at 0.6).
    """
    from scipy import stats

    n = len(values)
    s = float(sum(np.sign(values[i + 1 :] - values[i]).sum() for i in range(n - 1)))
    _, counts = np.unique(values, return_counts=True)
    variance = (n * (n - 1) * (2 * n + 5) - float((counts * (counts - 1) * (2 * counts + 5)).sum())) / 18
    if variance <= 0 or s == 0:
        return 1.0
    ranks = stats.rankdata(values - slope * np.arange(n))
    centred = ranks - ranks.mean()
    total = float(centred @ centred)
    r = 0.0
    if total > 0:
        lag_1 = float(centred[:-1] @ centred[1:]) / total
        r = min(max(lag_1 + (1 + 3 * lag_1) / n, 0.0), _LARGEST_CORRELATION)
    z = (s - math.copysign(1, s)) / math.sqrt(variance * (1 + r) / (1 - r))
    return float(2 * stats.norm.sf(abs(z)))
