"""What a candidate loses against its reference on the same items, with an interval: pure, from what each item adds.

A metric is `finish(mean over groups of sum(numerator) / sum(denominator))`: groups are classes where a metric averages
over them, else there is one. Items are resampled together on both sides (paired bootstrap), so what makes an item hard
takes no part in the difference.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from assay.runner.tensors import Array

RESAMPLES = 2000
_CHUNK = 200
_LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Counts:
    """What every item adds to a metric: arrays [items, groups]."""

    numerator: Array
    denominator: Array
    exponential: bool = False
    """Whether the metric is exp of the ratio (perplexity)."""

    def value(self) -> float | None:
        """Over all items; None where no group has anything."""
        made = _value(self.numerator.sum(axis=0)[None], self.denominator.sum(axis=0)[None], self.exponential)[0]
        return None if math.isnan(made) else float(made)

    def by_group(self) -> list[float | None]:
        bottom = self.denominator.sum(axis=0)
        top = self.numerator.sum(axis=0)
        return [float(t / b) if b else None for t, b in zip(top, bottom, strict=True)]


@dataclass(frozen=True, slots=True)
class Interval:
    value: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Degradation:
    """Positive is worse, whatever the metric's direction."""

    candidate: Interval
    reference: float
    drop: Interval
    relative: Interval | None
    """Over the reference's value; None where that is zero."""


def degradation(candidate: Counts, reference: Counts, *, better: str, seed: int = 0) -> Degradation | None:
    """The candidate's value, and what it loses, with 95 % percentile intervals; None where either has no value.

    Where no item differs, resampling shows nothing: the interval of a share then reaches as far as n equal items leave
    open (Clopper and Pearson's upper limit of 0 in n).
    """
    mine, right = candidate.value(), reference.value()
    if mine is None or right is None:
        return None
    items = len(candidate.numerator)
    random = np.random.default_rng(seed)
    ours, theirs = [], []
    for start in range(0, RESAMPLES, _CHUNK):
        weights = random.multinomial(items, [1 / items] * items, size=min(_CHUNK, RESAMPLES - start)).astype(np.float64)
        ours.append(_resampled(candidate, weights))
        theirs.append(_resampled(reference, weights))
    left, other = np.concatenate(ours), np.concatenate(theirs)
    sign = 1.0 if better == "higher" else -1.0
    drops = sign * (other - left)
    drop = _interval(sign * (right - mine), drops, items)
    relative = (
        _interval(
            sign * (right - mine) / right,
            np.divide(drops, other, where=other != 0, out=np.full_like(drops, np.nan)),
            items,
        )
        if right
        else None
    )
    if _same(candidate, reference) and _is_share(candidate):
        open_ = 1 - (1 - _LEVEL) ** (1 / items)
        drop = Interval(drop.value, -open_, open_, items)
        relative = Interval(0.0, -open_ / right, open_ / right, items) if right else None
    return Degradation(_interval(mine, left, items), right, drop, relative)


def _same(one: Counts, other: Counts) -> bool:
    return bool(np.array_equal(one.numerator, other.numerator) and np.array_equal(one.denominator, other.denominator))


def _is_share(counts: Counts) -> bool:
    """Whether every item is right or wrong."""
    return counts.numerator.shape[1] == 1 and bool((counts.denominator == 1).all())


def _resampled(counts: Counts, weights: Array) -> Array:
    return _value(weights @ counts.numerator, weights @ counts.denominator, counts.exponential)


def _value(top: Array, bottom: Array, exponential: bool) -> Array:
    """[resamples] from sums [resamples, groups]; NaN where no group has anything."""
    ratio = np.divide(top, bottom, where=bottom > 0, out=np.full(top.shape, np.nan, np.float64))
    known = np.count_nonzero(bottom > 0, axis=1)
    averaged = np.divide(np.nansum(ratio, axis=1), known, where=known > 0, out=np.full(len(top), np.nan))
    with np.errstate(over="ignore"):
        made: Array = np.exp(averaged) if exponential else averaged
    return made


def _interval(value: float, resampled: Array, n: int) -> Interval:
    known = resampled[np.isfinite(resampled)]
    if known.size < RESAMPLES // 2 or n < 2:
        return Interval(value, None, None, n)
    low, high = np.quantile(known, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Interval(value, float(low), float(high), n)


def mcnemar(candidate: Array, reference: Array) -> tuple[int, int, float]:
    """(only the reference right, only the candidate right, exact two-sided p).

    McNemar's test of two columns of right and wrong.

    Under equal quality each discordant item falls to either side like a fair coin; p is 1 without any.
    """
    from scipy.stats import binomtest

    lost = int(np.count_nonzero(reference & ~candidate))
    won = int(np.count_nonzero(~reference & candidate))
    return lost, won, float(binomtest(lost, lost + won, 0.5).pvalue) if lost + won else 1.0


def jackknifed(
    statistic: Callable[[Array], float | None], items: int, groups: int = 20
) -> tuple[float | None, float | None]:
    """(value, standard error) of a statistic of item numbers, by leaving out a group of them at a time.

    Delete-a-group jackknife (Kott 2001) of `groups` interleaved groups: variance = (G - 1) / G * sum (value without g -
    their mean)^2. For metrics that are no sums, such as mAP, where thousands of resamples would cost thousands of
    evaluations. The error is None with fewer than 2 groups, or where a part has no value.
    """
    whole = statistic(np.arange(items))
    groups = min(groups, items)
    if whole is None or groups < 2:
        return whole, None
    parts: list[Any] = [
        statistic(np.array([i for i in range(items) if i % groups != group])) for group in range(groups)
    ]
    if any(part is None for part in parts):
        return whole, None
    spread = np.array(parts, np.float64)
    return whole, float(math.sqrt((groups - 1) / groups * ((spread - spread.mean()) ** 2).sum()))
