"""What a set of timings says, and how sure it is. Pure: arrays in, numbers out.

Consecutive timings resemble each other, so the unit of resampling is the block (calls without a pause), never the call:
a cluster bootstrap (Davison and Hinkley 1997, 3.8). A ratio pairs the blocks of one round, so that what the machine did
to both sides cancels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Samples = np.ndarray[Any, np.dtype[np.float64]]

RESAMPLES = 2000
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    value: float
    low: float | None
    """Lower end of the 95 % interval; None with fewer than 3 blocks."""
    high: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Ratio:
    """candidate / reference of the medians, paired by round."""

    value: float
    low: float | None
    high: float | None
    n: int
    """Rounds."""
    detectable: float | None
    """Smallest relative change that this many rounds would show at 95 % with power 80 % (2.8 standard errors)."""

    @property
    def outcome(self) -> str:
        """`faster`, `slower`, or `not distinguishable` when the interval holds 1."""
        if self.low is None or self.high is None:
            return "not enough evidence"
        if self.high < 1:
            return "faster"
        return "slower" if self.low > 1 else "not distinguishable"


def blocks_of(samples: Samples, block_length: int) -> Samples:
    """Samples as rows of one block each; an unfinished block at the end is left out."""
    whole = len(samples) // block_length * block_length
    return np.asarray(samples[:whole]).reshape(-1, block_length)


def _resampled(blocks: Samples, seed: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.random.default_rng(seed).integers(0, len(blocks), (RESAMPLES, len(blocks)))


def _interval(values: Samples) -> tuple[float, float]:
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def quantile(blocks: Samples, q: float, seed: int = 0) -> Estimate:
    """A quantile of all samples (linear interpolation) with a cluster bootstrap interval.

    Raises:
        ValueError: there are no samples.
    """
    if blocks.size == 0:
        raise ValueError("no samples")
    value = float(np.quantile(blocks, q))
    if len(blocks) < 3:
        return Estimate(value, None, None, blocks.size)
    picked = _resampled(blocks, seed)
    statistics = np.empty(RESAMPLES)
    for start in range(0, RESAMPLES, 100):  # a piece at a time: constant memory whatever the block length
        drawn = blocks[picked[start : start + 100]].reshape(-1, len(blocks) * blocks.shape[1])
        statistics[start : start + 100] = np.quantile(drawn, q, axis=1)
    return Estimate(value, *_interval(statistics), blocks.size)


def mean(blocks: Samples, seed: int = 0) -> Estimate:
    """The mean of all samples with a cluster bootstrap interval."""
    if blocks.size == 0:
        raise ValueError("no samples")
    if len(blocks) < 3:
        return Estimate(float(blocks.mean()), None, None, blocks.size)
    return Estimate(
        float(blocks.mean()), *_interval(blocks.mean(axis=1)[_resampled(blocks, seed)].mean(axis=1)), blocks.size
    )


def paired_ratio(candidate: Samples, reference: Samples) -> Ratio:
    """Median of candidate over median of reference, from blocks measured in turns (same number on both sides).

    ABBA order makes blocks 2i and 2i+1 of each side one round; the mean log ratio of the round medians gets Student's interval.

    Raises:
        ValueError: the two sides have different numbers of blocks, or none.
    """
    if len(candidate) != len(reference) or len(candidate) == 0:
        raise ValueError(f"{len(candidate)} candidate blocks cannot be paired with {len(reference)} reference blocks")
    rounds = np.log(_round_medians(candidate)) - np.log(_round_medians(reference))
    value = float(np.exp(rounds.mean()))
    n = len(rounds)
    if n < 3:
        return Ratio(value, None, None, n, None)
    error = float(rounds.std(ddof=1) / np.sqrt(n))
    low, high = (float(np.exp(edge)) for edge in _student_interval(rounds))
    return Ratio(value, low, high, n, float(np.expm1(2.8 * error)))


def _round_medians(blocks: Samples) -> Samples:
    medians = np.median(blocks, axis=1)
    even = len(medians) // 2 * 2
    pairs = medians[:even].reshape(-1, 2).mean(axis=1)
    return pairs if even else medians


def _student_interval(values: Samples) -> tuple[float, float]:
    """95 % interval of a mean by Student's t: with 8 rounds a percentile bootstrap is too short (it covers 89 %)."""
    from scipy.stats import t

    half = float(t.ppf(0.5 + _CONFIDENCE / 2, len(values) - 1)) * float(values.std(ddof=1)) / np.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)


def spread(blocks: Samples) -> float:
    """How far block medians scatter: half the range of their middle 80 %, relative to their median. The host's noise."""
    medians = np.median(blocks, axis=1)
    low, high = np.quantile(medians, [0.1, 0.9])
    return float((high - low) / 2 / np.median(medians))
