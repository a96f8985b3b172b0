"""The sums behind a receipt: what one comparison adds up, and how two of them merge.

One definition for every implementation of the kernel: each makes a `Tally` of a chunk, and merging the tallies of any
partition of the elements gives the receipt of the whole.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

EXACT_QUANTILES = 65_536
"""Up to this many errors are kept, and quantiles are exact; beyond it they come from the fine histogram."""

_OCTAVES = 128
_SUBDIVISIONS = 128
FINE_BINS = 1 + _OCTAVES * _SUBDIVISIONS
"""[0] is an error of zero; then 128 bins for each factor of two from 2^-64 to 2^64, so a bin is at most 0.8 % wide."""
_LOWEST = -64
FINE_BASE = ((1023 + _LOWEST) << 7) - 1
"""Bits of a float64 shifted right by 45 (exponent and 7 bits of fraction), minus this, is the bin."""


@dataclass(frozen=True, slots=True)
class Said:
    """Of text, which has no figures."""

    pair: tuple[str, str] | None = None
    """Expected and actual text of the first element that differs."""
    only: str | None = None
    """The expected text while it is one and the same everywhere; None before the first."""
    varied: bool = False
    """Whether two expected elements differ."""

    def then(self, later: Said) -> Said:
        """Of both, the elements of `later` coming after these."""
        both = [said.only for said in (self, later) if said.only is not None]
        varied = self.varied or later.varied or len(set(both)) > 1
        return Said(self.pair or later.pair, None if varied or not both else both[0], varied)


@dataclass(slots=True)
class Tally:
    """Additive facts of a comparison; indices count elements in C order from the start of the whole."""

    elements: int = 0
    skipped: int = 0
    nan_expected: int = 0
    nan_actual: int = 0
    inf_expected: int = 0
    inf_actual: int = 0
    nonfinite_mismatches: int = 0
    violations: int = 0
    finite: int = 0
    """Pairs finite on both sides: everything below is over these."""
    sum_abs: float = 0.0
    sum_signed: float = 0.0
    sum_squared: float = 0.0
    mean_expected: float = 0.0
    squares_expected: float = 0.0
    """Sum of squared distances from the mean (Chan, Golub, LeVeque 1983), which merges without cancellation."""
    sum_squared_expected: float = 0.0
    sum_squared_actual: float = 0.0
    min_expected: float = math.inf
    max_expected: float = -math.inf
    max_abs: float = -1.0
    """-1 before the first pair."""
    max_rel: float = 0.0
    worst: int = -1
    """Element with the first largest error; -1 for none."""
    worst_pair: tuple[float, float] = (math.nan, math.nan)
    first_mismatch: int = -1
    """First non-finite mismatch."""
    mismatch_pair: tuple[float, float] = (math.nan, math.nan)
    first_failing: int = -1
    fine: np.ndarray[Any, np.dtype[np.int64]] = field(default_factory=lambda: np.zeros(FINE_BINS, np.int64))
    kept: list[np.ndarray[Any, np.dtype[np.float64]]] | None = field(default_factory=list)
    """Every |error| so far while there are few, else None."""
    text: Said | None = None
    """What was said, where text was compared: `violations` counts elements that differ, and nothing is finite."""

    def merge(self, other: Tally, offset: int = 0) -> None:
        """Add a tally of elements that come later; `offset` shifts its indices into ours."""
        if other.finite:
            total = self.finite + other.finite
            delta = other.mean_expected - self.mean_expected
            self.squares_expected += other.squares_expected + delta * delta * (self.finite * other.finite / total)
            self.mean_expected += delta * (other.finite / total)
        for name in _ADDITIVE:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.min_expected = min(self.min_expected, other.min_expected)
        self.max_expected = max(self.max_expected, other.max_expected)
        self.max_rel = max(self.max_rel, other.max_rel)
        if other.max_abs > self.max_abs:
            self.max_abs, self.worst, self.worst_pair = other.max_abs, other.worst + offset, other.worst_pair
        if self.first_mismatch < 0 <= other.first_mismatch:
            self.first_mismatch, self.mismatch_pair = other.first_mismatch + offset, other.mismatch_pair
        if self.first_failing < 0 <= other.first_failing:
            self.first_failing = other.first_failing + offset
        self.fine += other.fine
        if other.text is not None:
            self.text = other.text if self.text is None else self.text.then(other.text)
        if self.kept is not None:
            self.kept = None if other.kept is None or self.finite > EXACT_QUANTILES else self.kept + other.kept

    def quantiles(self, *wanted: float) -> list[float | None]:
        """Quantiles of |error| with linear interpolation; None when nothing finite was compared."""
        if not self.finite:
            return [None] * len(wanted)
        if self.kept is None:
            return [self._from_histogram(q) for q in wanted]
        errors = self.kept[0] if len(self.kept) == 1 else np.concatenate(self.kept)
        return [float(value) for value in np.quantile(errors, wanted)]

    def quantile(self, q: float) -> float | None:
        return self.quantiles(q)[0]

    def _from_histogram(self, q: float) -> float:
        rank = q * (self.finite - 1)
        cumulative = np.cumsum(self.fine)
        index = int(np.searchsorted(cumulative, rank, side="right"))
        if index == 0:
            return 0.0
        before = cumulative[index - 1]
        low, high = fine_edges(index)
        inside = (rank - before + 0.5) / self.fine[index]
        return float(min(low + (high - low) * inside, self.max_abs))

    def histogram(self) -> list[int]:
        """The 64 stored bins: exact, below 2^-49, one for each octave, from 2^12 up."""
        octaves = self.fine[1:].reshape(_OCTAVES, _SUBDIVISIONS).sum(axis=1)
        stored = np.zeros(64, np.int64)
        stored[0] = self.fine[0]
        np.add.at(stored, np.clip(np.arange(_OCTAVES) + _LOWEST + 51, 1, 63), octaves)
        return [int(count) for count in stored]


_ADDITIVE = (
    "elements", "skipped", "nan_expected", "nan_actual", "inf_expected", "inf_actual", "nonfinite_mismatches",
    "violations", "finite", "sum_abs", "sum_signed", "sum_squared", "sum_squared_expected", "sum_squared_actual",
)  # fmt: skip


def fine_edges(index: int) -> tuple[float, float]:
    """Lower and upper edge of a bin of the fine histogram."""
    octave, part = divmod(index - 1, _SUBDIVISIONS)
    low = math.ldexp(1 + part / _SUBDIVISIONS, octave + _LOWEST)
    return low, low + math.ldexp(1 / _SUBDIVISIONS, octave + _LOWEST)


def fine_bins(errors: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The bin of each non-negative error."""
    bits = np.asarray(errors, order="C").view(np.int64)
    return np.where(bits == 0, 0, np.clip((bits >> 45) - FINE_BASE, 1, FINE_BINS - 1))
