"""Slow drift: a level that moves too little each night to be a step, held against the best level and a release."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from assay.runner.tensors import Array

WINDOW = 7
"""Nights of a level: a week, so that weekdays are alike."""
_FEWEST = 5
"""Windows before the newest one, without which the noise of a window is not known."""
_RELEASE = 3
"""Nights of a release, without which it has no level."""


@dataclass(frozen=True, slots=True)
class DriftRule:
    alpha: float = 0.003
    floor: float = 0.03
    """Of ln(value); at least three times the metric's own."""


DRIFT = DriftRule()


@dataclass(frozen=True, slots=True)
class SlowDrift:
    """The newest window is worse than another one."""

    before: tuple[int, int]
    """Nights of the level that it is held against, from and to (exclusive)."""
    start: int
    """First night of the newest window."""
    size: float
    """Difference of the medians."""
    low: float
    high: float
    p_value: float
    noise: float
    """Standard deviation of a window's median."""
    against: str
    """`best` or `release`."""


def drift(y: Array, better: str, released: Sequence[bool], floor: float, rule: DriftRule) -> SlowDrift | None:
    """Whether the last 7 nights are worse than the best 7 before them, or than those of the newest release.

    The clearer of the two, or None.

    `y` is ln(value) in one environment, `released` says which nights ran a released version. The noise of a window's
    median is estimated from successive windows (von Neumann 1941: their mean squared difference over 2), so neither
    slow trends nor dependence inside a week count as noise. p is of a t test with as many degrees of freedom as there
    are differences, times the windows that the best one was chosen from. None where there are fewer than 6 windows.
    """
    sign = {"lower": 1.0, "higher": -1.0}[better]
    starts = list(range(len(y) - WINDOW, -1, -WINDOW))[::-1]
    if len(starts) < _FEWEST + 1:
        return None
    medians = np.median(y[starts[0] :].reshape(len(starts), WINDOW), axis=1)
    moves = np.diff(medians)
    noise = max(float(np.sqrt((moves**2).mean() / 2)), 1e-9)
    found = [_held(medians, starts, noise, sign)]
    nights = [i for i, shipped in enumerate(released[: starts[-1]]) if shipped]
    if len(nights) >= _RELEASE:
        found.append(_held_against_release(y, nights, medians, starts, noise, sign))
    least = max(rule.floor, 3 * floor)
    clear = [one for one in found if one.p_value < rule.alpha and sign * one.size >= least]
    return min(clear, key=lambda one: one.p_value, default=None)


def _held(medians: Array, starts: list[int], noise: float, sign: float) -> SlowDrift:
    best = int(np.argmin(sign * medians[:-1]))
    size, looks = float(medians[-1] - medians[best]), len(medians) - 1
    p, half = _tested(size, noise * math.sqrt(2), looks, sign)
    return SlowDrift(
        (starts[best], starts[best] + WINDOW),
        starts[-1],
        size,
        size - half,
        size + half,
        min(1.0, looks * p),
        noise,
        "best",
    )


def _held_against_release(
    y: Array, nights: list[int], medians: Array, starts: list[int], noise: float, sign: float
) -> SlowDrift:
    size = float(medians[-1] - np.median(y[nights]))
    p, half = _tested(size, noise * math.sqrt(1 + max(1.0, WINDOW / len(nights))), len(medians) - 1, sign)
    return SlowDrift((nights[0], nights[-1] + 1), starts[-1], size, size - half, size + half, p, noise, "release")


def _tested(size: float, error: float, free: int, sign: float) -> tuple[float, float]:
    """One-sided p of a t test, and half a 95 % interval."""
    return float(stdtr(free, -sign * size / error)), float(stdtrit(free, 0.975)) * error
