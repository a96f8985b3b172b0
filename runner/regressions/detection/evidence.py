"""What speaks for each candidate.

A test with the noise of the whole history, its size, and whether it is a step at all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.special import stdtr, stdtrit

from assay.runner.tensors import Array

_WINSOR = 3.0
_MAD_TO_SD = 1.4826
_OWN_SPREAD = 5
"""A side of at least so many points has a spread of its own; a smaller one borrows the history's."""
_EDGE = 3
_MOST_CORRELATED = 0.9


@dataclass(frozen=True, slots=True)
class Evidence:
    """One candidate between two segments."""

    index: int
    """The first point of the new level."""
    p_value: float
    """Two-sided t test of the two levels, times 1 + ln(n) for the place that was free."""
    size: float
    """New median minus the old one."""
    low: float
    """95 % interval of the difference of the two winsorised means."""
    high: float
    noise: float
    """Standard deviation of a point about its level."""
    jump: float
    """What moved at the boundary itself: medians of the last 3 and the first 3 points."""
    straight: float
    """Squares left by one straight line through both segments over those left by two levels: below 1 the line fits
    better."""


def residual_noise(segments: Sequence[Array]) -> float:
    """Robust standard deviation of points about their segment's median (1.4826 MAD, corrected for the medians)."""
    left = np.concatenate([segment - np.median(segment) for segment in segments])
    spread = _MAD_TO_SD * float(np.median(np.abs(left))) * math.sqrt(len(left) / max(len(left) - len(segments), 1))
    return spread or float(np.std(left)) or 1e-12


def weigh(y: Array, cuts: Sequence[int], within: float) -> list[Evidence]:
    """Evidence for every cut, given all the others.

    Values are winsorised at 3 robust standard deviations about their segment's median. The variance is pooled over all
    segments, no smaller than a long side's own, nor than `within` (that of a night's value by its own samples, which
    are no further nights), and inflated for the autocorrelation of the residuals, (1 + r) / (1 - r).
    """
    bounds = [0, *cuts, len(y)]
    segments = [y[i:j] for i, j in pairwise(bounds)]
    noise = residual_noise(segments)
    levels = [_winsorised(segment, noise) for segment in segments]
    free = max(len(y) - len(segments), 1)
    pooled = max(sum(float(((s - s.mean()) ** 2).sum()) for s in levels) / free, within, 1e-18)
    inflation = _inflation(levels, len(y))
    made = []
    for k, index in enumerate(cuts):
        before, after = levels[k], levels[k + 1]
        error = math.sqrt((_variance(before, pooled) / len(before) + _variance(after, pooled) / len(after)) * inflation)
        difference = float(after.mean() - before.mean())
        p = 2 * float(stdtr(free, -abs(difference) / error))
        half = float(stdtrit(free, 0.975)) * error
        made.append(
            Evidence(
                index,
                min(1.0, p * (1 + math.log(len(y)))),
                float(np.median(segments[k + 1]) - np.median(segments[k])),
                difference - half,
                difference + half,
                math.sqrt(pooled),
                _jump(y, bounds[k], index, bounds[k + 2]),
                _straight(before, after),
            )
        )
    return made


def _winsorised(segment: Array, noise: float) -> Array:
    middle = float(np.median(segment))
    return np.clip(segment, middle - _WINSOR * noise, middle + _WINSOR * noise)


def _variance(level: Array, pooled: float) -> float:
    return max(pooled, float(level.var(ddof=1))) if len(level) >= _OWN_SPREAD else pooled


def _inflation(levels: Sequence[Array], n: int) -> float:
    """Of the variance of a mean, for lag-1 autocorrelation inside segments; 1 with fewer than 8 points."""
    centred = [level - level.mean() for level in levels]
    power = sum(float(c @ c) for c in centred)
    if n < 8 or power == 0:
        return 1.0
    r = sum(float(c[1:] @ c[:-1]) for c in centred) / power + 1 / n
    r = min(max(r, 0.0), _MOST_CORRELATED)
    return (1 + r) / (1 - r)


def _jump(y: Array, start: int, index: int, end: int) -> float:
    return float(np.median(y[index : min(end, index + _EDGE)]) - np.median(y[max(start, index - _EDGE) : index]))


def _straight(before: Array, after: Array) -> float:
    """Infinite where a side has fewer than 3 points: two points make no line."""
    if min(len(before), len(after)) < 3:
        return math.inf
    both = np.concatenate([before, after])
    centred = both - both.mean()
    x = np.arange(len(both)) - (len(both) - 1) / 2
    line = float(((centred - x * (x @ centred) / (x @ x)) ** 2).sum())
    steps = float(((before - before.mean()) ** 2).sum() + ((after - after.mean()) ** 2).sum())
    return line / steps if steps > 0 else math.inf


def without_excursions(y: Array, cuts: Sequence[int], longest: int, back: float) -> list[int]:
    """Cuts without those around segments that come back.

    Such a segment has up to `longest` points, and the level after it is within `back` of the one before.
    """
    kept = list(cuts)
    k = 0
    while k + 1 < len(kept):
        start, end = kept[k], kept[k + 1]
        if end - start <= longest:
            left = np.median(y[(kept[k - 1] if k else 0) : start])
            middle = np.median(y[start:end])
            right = np.median(y[end : (kept[k + 2] if k + 2 < len(kept) else len(y))])
            if abs(right - left) < back * min(abs(middle - left), abs(middle - right)):
                del kept[k : k + 2]
                k = max(k - 1, 0)
                continue
        k += 1
    return kept
