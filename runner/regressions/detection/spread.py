"""Variance: nights that scatter more than they did, whatever their level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.stats import levene

from assay.runner.tensors import Array

RECENT, EARLIER = 10, 20
"""Nights on either side, without which a spread is not known."""


@dataclass(frozen=True, slots=True)
class SpreadRule:
    alpha: float = 1e-4
    ratio: float = 3.0
    """Of the standard deviations."""
    floor: float = 0.02
    """A relative standard deviation below this bothers nobody."""


SPREAD = SpreadRule()


@dataclass(frozen=True, slots=True)
class Spread:
    start: int
    """First of the recent nights."""
    ratio: float
    before: float
    after: float
    """Robust standard deviations (1.4826 MAD)."""
    p_value: float


def spread(y: Array, cuts: Sequence[int], rule: SpreadRule) -> Spread | None:
    """Whether the last 10 nights scatter about their level more than those before did.

    `y` is ln(value) in one environment, `cuts` where its level changed: residuals are about each level's median. Brown
    and Forsythe's test (1974, Levene's about medians); the ratio is of robust standard deviations, so that one bad
    night is no variance. None with fewer than 30 nights.
    """
    if len(y) < RECENT + EARLIER:
        return None
    left = np.concatenate([y[i:j] - np.median(y[i:j]) for i, j in pairwise([0, *cuts, len(y)])])
    earlier, recent = left[:-RECENT], left[-RECENT:]
    before, after = _robust(earlier), _robust(recent)
    if after < rule.floor or after < rule.ratio * before:
        return None
    p = float(levene(earlier, recent, center="median").pvalue)
    return Spread(len(y) - RECENT, after / max(before, 1e-12), before, after, p) if p < rule.alpha else None


def _robust(values: Array) -> float:
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))
