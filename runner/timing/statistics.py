"""What a set of timings says, and how sure it is. Pure: arrays in, numbers out.

Timings resemble their neighbours three times over: calls of one block, blocks that follow each other, and everything
that one process does (where its memory lies differs from launch to launch, and moves a median by a percent or two). So
the unit of an interval is the largest that there are three of: launches by Student's t; else blocks, by a cluster
bootstrap (Davison and Hinkley 1997, 3.8) that is widened for the autocorrelation of their medians. A ratio pairs the
blocks of one round, so that what the machine did to both sides cancels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Samples = np.ndarray[Any, np.dtype[np.float64]]
"""[launches, blocks, calls], milliseconds."""

RESAMPLES = 2000
_CONFIDENCE = 0.95
_LEAST = 3
"""Fewer launches, blocks or rounds give no interval of their own."""
_POWER = 0.84
"""Standard errors above the critical value at which 80 % of true changes are seen."""
_MOST_CORRELATED = 0.9


@dataclass(frozen=True, slots=True)
class Estimate:
    value: float
    low: float | None
    """Lower end of the 95 % interval; None with fewer than 3 launches and fewer than 3 blocks."""
    high: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Ratio:
    """candidate / reference of the medians, paired by round."""

    value: float
    low: float | None
    high: float | None
    n: int
    """Rounds, over all launches."""
    launches: int
    detectable: float | None
    """Smallest relative change that this many launches would show at 95 % with power 80 %."""

    def outcome(self, margin: float) -> str:
        """`faster`, `slower`, `equivalent` (the whole interval within the margin), or `not enough evidence`.

        The margin is relative and two-sided: 0.02 calls 1/1.02 to 1.02 equivalent. A difference has to reach beyond it
        with its whole interval. Fewer than 3 launches are never enough: what a process does to its timings is not
        known.
        """
        if self.low is None or self.high is None or self.launches < _LEAST:
            return NOT_ENOUGH
        if 1 / (1 + margin) <= self.low and self.high <= 1 + margin:
            return "equivalent"
        if self.high < 1 / (1 + margin):
            return "faster"
        return "slower" if self.low > 1 + margin else NOT_ENOUGH

    def needed(self, margin: float) -> int | None:
        """Launches in all that would decide, if they scatter as these did; None where no number of them would.

        The interval has to shrink until it lies on one side of the margin's edge: its half width goes with
        1/sqrt(launches).
        """
        if self.low is None or self.high is None or self.outcome(margin) != NOT_ENOUGH:
            return None
        half, distance = math.log(self.high / self.low) / 2, abs(abs(math.log(self.value)) - math.log1p(margin))
        if distance < half / 100:
            return None
        return max(_LEAST, self.launches + 1, math.ceil(self.launches * (half / distance) ** 2))


NOT_ENOUGH = "not enough evidence"


def as_samples(flat: list[float] | Samples, block_length: int, launches: int = 1) -> Samples:
    """Samples in the order taken as [launches, blocks, calls].

    Raises:
        ValueError: they are not that many equal parts.
    """
    if not launches or not block_length or not len(flat) or len(flat) % (launches * block_length):
        raise ValueError(f"{len(flat)} samples are not {launches} launches of blocks of {block_length}")
    return np.asarray(flat, np.float64).reshape(launches, -1, block_length)


def quantile(samples: Samples, q: float, seed: int = 0) -> Estimate:
    """A quantile of all samples (linear interpolation) with its interval.

    Raises:
        ValueError: there are no samples.
    """
    return _estimate(samples, lambda values: np.quantile(values, q, axis=-1), seed)


def mean(samples: Samples, seed: int = 0) -> Estimate:
    """The mean of all samples with its interval; raises as `quantile`."""
    return _estimate(samples, lambda values: np.mean(values, axis=-1), seed)


def _estimate(samples: Samples, statistic: Callable[[Samples], Any], seed: int) -> Estimate:
    if samples.size == 0:
        raise ValueError("no samples")
    value = float(statistic(samples.reshape(-1)))
    launches, blocks, _ = samples.shape
    if launches >= _LEAST:
        of_launches = np.log(np.maximum(statistic(samples.reshape(launches, -1)), np.finfo(float).tiny))
        half = _half_width(of_launches)
        return Estimate(value, value * math.exp(-half), value * math.exp(half), samples.size)
    flat = samples.reshape(launches * blocks, -1)
    if len(flat) < _LEAST:
        return Estimate(value, None, None, samples.size)
    picked = np.random.default_rng(seed).integers(0, len(flat), (RESAMPLES, len(flat)))
    found = np.empty(RESAMPLES)
    for start in range(0, RESAMPLES, 100):  # a piece at a time: constant memory whatever the block length
        found[start : start + 100] = statistic(flat[picked[start : start + 100]].reshape(-1, flat.size))
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(found, [tail, 1 - tail])
    wider = inflation(np.median(flat, axis=1)) * math.sqrt(len(flat) / (len(flat) - 1))
    return Estimate(
        value, max(0.0, value - (value - float(low)) * wider), value + (float(high) - value) * wider, samples.size
    )


def inflation(values: Samples) -> float:
    """How much wider an interval of a mean has to be because neighbours resemble each other.

    Sqrt((1 + r) / (1 - r)), at least 1.

    The large-sample standard error of the mean of an AR(1) series over that of independent values.
    """
    r = max(0.0, autocorrelation(values))
    return math.sqrt((1 + r) / (1 - r))


def autocorrelation(values: Samples) -> float:
    """Lag-1 autocorrelation, corrected for the bias of short series, at most 0.9.

    The correction is + (1 + 3 r) / n (Marriott and Pope 1954). 0 for a constant series or one of fewer than 4 values.
    """
    centred = np.asarray(values, np.float64) - np.mean(values)
    power = float(centred @ centred)
    if len(centred) < 4 or power == 0:
        return 0.0
    r = float(centred[1:] @ centred[:-1]) / power
    return min(_MOST_CORRELATED, r + (1 + 3 * r) / len(centred))


def paired_ratio(candidate: Samples, reference: Samples) -> Ratio:
    """Median of candidate over median of reference, from blocks measured in turns.

    Both sides have the same launches and blocks. ABBA order makes blocks 2i and 2i+1 of each side one round; mean log
    ratios of the rounds get Student's interval: over launches where there are 3, else over rounds, widened for their
    autocorrelation.

    Raises:
        ValueError: the two sides have different numbers of launches or blocks, or none.
    """
    if candidate.shape[:2] != reference.shape[:2] or 0 in candidate.shape[:2]:
        raise ValueError(
            f"{candidate.shape[:2]} candidate launches and blocks cannot be paired with {reference.shape[:2]} of the"
            " reference"
        )
    rounds = np.log(_round_medians(candidate)) - np.log(_round_medians(reference))
    launches, n = len(rounds), rounds.size
    value = float(np.exp(rounds.mean()))
    if launches >= _LEAST:
        units, wider = rounds.mean(axis=1), 1.0
    else:
        units = rounds.reshape(-1)
        wider = inflation(units)
    if len(units) < _LEAST:
        return Ratio(value, None, None, n, launches, None)
    half = _half_width(units) * wider
    error = float(units.std(ddof=1)) / math.sqrt(len(units)) * wider
    return Ratio(value, value * math.exp(-half), value * math.exp(half), n, launches, math.expm1(half + _POWER * error))


def _round_medians(samples: Samples) -> Samples:
    """[launches, rounds]: medians of blocks, two blocks of a round together."""
    medians = np.median(samples, axis=2)
    even = medians.shape[1] // 2 * 2
    return medians[:, :even].reshape(len(medians), -1, 2).mean(axis=2) if even else medians


def _half_width(values: Samples) -> float:
    """Half the 95 % interval of a mean by Student's t: with few values a percentile bootstrap is too short."""
    from scipy.stats import t

    return float(t.ppf(0.5 + _CONFIDENCE / 2, len(values) - 1)) * float(np.std(values, ddof=1)) / math.sqrt(len(values))


def spread(samples: Samples) -> float:
    """How far block medians scatter: half the range of their middle 80 %, relative to their median.

    The host's noise.
    """
    medians = np.median(samples, axis=2).reshape(-1)
    low, high = np.quantile(medians, [0.1, 0.9])
    return float((high - low) / 2 / np.median(medians))


def launch_spread(samples: Samples) -> float | None:
    """Standard deviation of the launches' log medians: what another process of the same artifact does to a median.

    None with fewer than 3 launches.
    """
    if len(samples) < _LEAST:
        return None
    return float(np.log(np.median(samples.reshape(len(samples), -1), axis=1)).std(ddof=1))
