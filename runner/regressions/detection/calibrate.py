"""What a rule costs and finds.

Replayed night by night, on histories in which nothing changed and on the same with a step planted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.stats import chi2

from assay.runner.regressions.detection.detect import HISTORY, NIGHTLY, Rule, as_log, known_tonight, prune
from assay.runner.regressions.detection.histories import resampled
from assay.runner.tensors import Array

NIGHTS = 60
"""Of one replay."""
_NEAR = 2
"""Nights that a report may be beside the step it is of, or beside one that was reported before."""
SIZES = (0.02, 0.05, 0.10, 0.20)
DELAYS = (3, 5, 10)
Look = Callable[[Sequence[float]], list[int]]


@dataclass(frozen=True, slots=True)
class Alarms:
    """Distinct reports on histories in which nothing changed."""

    count: int
    nights: int

    @property
    def per_100(self) -> float:
        """A series, in 100 nights."""
        return 100 * self.count / self.nights

    def interval(self) -> tuple[float, float]:
        """Exact 95 % interval of `per_100` for a Poisson count (Garwood 1936)."""
        low = float(chi2.ppf(0.025, 2 * self.count)) / 2 if self.count else 0.0
        return 100 * low / self.nights, 100 * float(chi2.ppf(0.975, 2 * self.count + 2)) / 2 / self.nights


@dataclass(frozen=True, slots=True)
class Recall:
    """Of steps of one size, the share that was reported within so many nights."""

    size: float
    planted: int
    within: dict[int, float]
    median: float | None
    """Nights until half of them were reported; None where fewer were."""


def by_rule(rule: Rule = NIGHTLY) -> Look:
    """What a nightly job knows, as indices."""
    return lambda values: [change.index for change in known_tonight(values, rule=rule)]


def reports(values: Sequence[float], look: Look) -> list[tuple[int, int]]:
    """(night, index) of every distinct report when a history is seen night by night.

    Night k is the one whose value is the k-th, from 1.
    """
    seen: list[tuple[int, int]] = []
    for night in range(2, len(values) + 1):
        for index in look(values[:night]):
            if all(abs(index - other) > _NEAR for _, other in seen):
                seen.append((night, index))
    return seen


def stationary(values: Sequence[float]) -> Array:
    """A history's nights about their level (ln): what is left when every change that hindsight shows is taken out."""
    y = as_log(values)
    bounds = [0, *[evidence.index for evidence in prune(y, 0.0, HISTORY)], len(y)]
    return np.concatenate([y[i:j] - np.median(y[i:j]) for i, j in pairwise(bounds)])


def false_alarms(noises: Iterable[Array], look: Look, seed: int, repeats: int = 1) -> Alarms:
    """Replay resampled noises in which nothing changed."""
    generator = np.random.default_rng(seed)
    count = nights = 0
    for noise in noises:
        for _ in range(repeats):
            history = [float(v) for v in np.exp(resampled(noise, NIGHTS, generator))]
            count += len(reports(history, look))
            nights += NIGHTS
    return Alarms(count, nights)


def recall(noises: Sequence[Array], look: Look, size: float, seed: int) -> Recall:
    """Plant a step of a size (0.05: 5 % up) two thirds into each replay, and see how long it takes."""
    generator = np.random.default_rng(seed)
    at, delays = NIGHTS * 2 // 3, []
    for noise in noises:
        y = resampled(noise, NIGHTS, generator)
        y[at:] += math.log1p(size)
        found = [
            night - at
            for night, index in reports([float(v) for v in np.exp(y)], look)
            if abs(index - at) <= _NEAR and night > at
        ]
        delays.append(min(found, default=None))
    known = sorted(delay for delay in delays if delay is not None)
    half = (len(delays) + 1) // 2
    return Recall(
        size,
        len(delays),
        {limit: sum(delay <= limit for delay in known) / len(delays) for limit in DELAYS} if delays else {},
        float(known[half - 1]) if 0 < half <= len(known) else None,
    )
