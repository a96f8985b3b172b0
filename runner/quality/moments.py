"""Sums over pairs of arrays, one batch after the other, and the figures that quantization is judged by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from assay.runner.tensors import Array

_BLOCK = 1 << 20
"""Elements turned into float64 at a time."""


@dataclass(slots=True)
class Moments:
    """Additive facts of expected x and actual y; pairs that are not finite on both sides are counted and left out."""

    n: int = 0
    nonfinite: int = 0
    sum_x: float = 0.0
    sum_y: float = 0.0
    sum_xx: float = 0.0
    sum_yy: float = 0.0
    sum_xy: float = 0.0
    sum_ee: float = 0.0
    sum_abs: float = 0.0
    max_abs: float = 0.0
    min_x: float = math.inf
    max_x: float = -math.inf
    min_y: float = math.inf
    max_y: float = -math.inf

    def add(self, expected: Array, actual: Array) -> None:
        """Add pairs of the same shape.

        Raises:
            ValueError: the shapes differ.
        """
        add_together(expected, [((self,), actual)])

    def merge(self, other: Moments) -> None:
        """Add what another one has seen."""
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.max_abs = max(self.max_abs, other.max_abs)
        self.min_x, self.max_x = min(self.min_x, other.min_x), max(self.max_x, other.max_x)
        self.min_y, self.max_y = min(self.min_y, other.min_y), max(self.max_y, other.max_y)

    def figures(self) -> dict[str, Any]:
        """The figures below, None where nothing finite was seen or the ratio has no meaning.

        `sqnr_db` 10 log10(sum x^2 / sum (x - y)^2), infinite when equal. `snr_db` the same of the variances of x and of
        the error: what is left when constant offsets are taken out. `psnr_db` 10 log10((max x - min x)^2 / mse).
        `cosine` of x and y as vectors.
        """
        if not self.n:
            return dict.fromkeys(_FIGURES)
        mse = self.sum_ee / self.n
        span = self.max_x - self.min_x
        noise = mse - ((self.sum_y - self.sum_x) / self.n) ** 2
        norms = math.sqrt(self.sum_xx) * math.sqrt(self.sum_yy)
        return {
            "sqnr_db": decibels(self.sum_xx, self.sum_ee),
            "snr_db": decibels(self._variance(self.sum_x, self.sum_xx), max(noise, 0.0)),
            "psnr_db": decibels(span * span, mse) if span > 0 else None,
            "cosine": self.sum_xy / norms if norms > 0 else None,
            "mse": mse,
            "mean_abs": self.sum_abs / self.n,
            "max_abs": self.max_abs,
            "expected_min": self.min_x,
            "expected_max": self.max_x,
            "expected_mean": self.sum_x / self.n,
            "expected_std": math.sqrt(self._variance(self.sum_x, self.sum_xx)),
            "actual_min": self.min_y,
            "actual_max": self.max_y,
            "actual_mean": self.sum_y / self.n,
            "actual_std": math.sqrt(self._variance(self.sum_y, self.sum_yy)),
        }

    def _variance(self, total: float, squares: float) -> float:
        return max(squares / self.n - (total / self.n) ** 2, 0.0)


_SUMS = ("n", "nonfinite", "sum_x", "sum_y", "sum_xx", "sum_yy", "sum_xy", "sum_ee", "sum_abs")
_FIGURES = (
    "sqnr_db", "snr_db", "psnr_db", "cosine", "mse", "mean_abs", "max_abs", "expected_min", "expected_max", "expected_mean",
    "expected_std", "actual_min", "actual_max", "actual_mean", "actual_std",
)  # fmt: skip


def decibels(signal: float, noise: float) -> float | None:
    """10 log10(signal / noise): infinite without noise, None without either."""
    if noise == 0:
        return math.inf if signal > 0 else None
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf


def add_together(expected: Array, sides: Sequence[tuple[Sequence[Moments], Array]]) -> None:
    """Add several actual sides of one expected one, which is read once; an actual side may count for more than one.

    Raises:
        ValueError: a shape differs.
    """
    for _, actual in sides:
        if expected.shape != actual.shape:
            raise ValueError(f"shape {expected.shape} was expected, {actual.shape} came")
    flat = expected.reshape(-1)
    for start in range(0, flat.size, _BLOCK):
        x = flat[start : start + _BLOCK].astype(np.float64)
        half = Moments(sum_x=float(x.sum()), sum_xx=_dot(x, x), min_x=float(x.min()), max_x=float(x.max()))
        for counted, actual in sides:
            part = _pairs(x, half, actual.reshape(-1)[start : start + _BLOCK].astype(np.float64))
            for moments in counted:
                moments.merge(part)


def _dot(a: Array, b: Array) -> float:
    """Not BLAS: its threads are 40 times slower here as soon as another process wants the cores."""
    return float(np.einsum("i,i->", a, b))


def _pairs(x: Array, half: Moments, y: Array) -> Moments:
    """Of one block, whose expected side is known already; a sum that is not finite gives away a value that is not."""
    sum_y = float(y.sum())
    if not math.isfinite(half.sum_x + sum_y):
        return _finite_pairs(x, y)
    error = y - x
    np.abs(error, out=error)
    return Moments(
        n=x.size, sum_x=half.sum_x, sum_y=sum_y, sum_xx=half.sum_xx, sum_yy=_dot(y, y), sum_xy=_dot(x, y), sum_ee=_dot(error, error),
        sum_abs=float(error.sum()), max_abs=float(error.max()), min_x=half.min_x, max_x=half.max_x, min_y=float(y.min()), max_y=float(y.max()),
    )  # fmt: skip


def _finite_pairs(x: Array, y: Array) -> Moments:
    finite = np.isfinite(x) & np.isfinite(y)
    kept = Moments()
    if finite.any():
        x, y = x[finite], y[finite]
        kept = _pairs(
            x, Moments(sum_x=float(x.sum()), sum_xx=_dot(x, x), min_x=float(x.min()), max_x=float(x.max())), y
        )
    kept.nonfinite = int(finite.size - finite.sum())
    return kept
