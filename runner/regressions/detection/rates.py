"""Verdicts and statuses: one that had always passed and fails now, and one that fails more often than it did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import hypergeom

_LATELY = 60
"""Nights that a pass rate is judged on."""


@dataclass(frozen=True, slots=True)
class Flip:
    index: int
    """First night of the new rate."""
    before: float
    after: float
    """Pass rates."""
    p_value: float
    """0 where the verdict had always been the same: nothing there is random."""
    kind: str
    """`verdict` or `pass_rate`."""


def flip(values: Sequence[int], alpha: float = 0.001) -> Flip | None:
    """The newest change of a verdict's history (1 passed, 0 failed), None where there is none.

    A verdict that was the same on every night before is deterministic as far as anybody knows, and one night of the
    other is a change. One that has gone to and fro has a rate: the cut with the least p by Fisher's exact test (one
    side), times the cuts that were tried, has to be below alpha.
    """
    nights = np.asarray(values[-_LATELY:], np.int64)
    offset, n = len(values) - len(nights), len(nights)
    turns = np.flatnonzero(np.diff(nights)) + 1
    if not len(turns):
        return None
    if len(turns) == 1:
        at = int(turns[0])
        return Flip(offset + at, float(nights[0]), float(nights[-1]), 0.0, "verdict")
    passed, total = np.cumsum(nights), int(nights.sum())
    cuts = np.arange(1, n)
    before = passed[:-1] / cuts
    after = (total - passed[:-1]) / (n - cuts)
    # Of the passes, how many come before the cut: hypergeometric if the order said nothing.
    fewer_after = hypergeom.sf(passed[:-1] - 1, n, total, cuts)
    more_after = hypergeom.cdf(passed[:-1], n, total, cuts)
    p = np.minimum(1.0, np.where(after < before, fewer_after, more_after) * (n - 1))
    best = int(np.argmin(p))
    if p[best] >= alpha:
        return None
    return Flip(offset + best + 1, float(before[best]), float(after[best]), float(p[best]), "pass_rate")
