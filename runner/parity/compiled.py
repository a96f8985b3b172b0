"""The comparison kernel, compiled: every field in one pass over both arrays, one thread, constant memory.

Each block of 2048 pairs stays in the first-level cache. Loops are written so that the compiler turns them into vector
instructions: sums may be re-associated (`reassoc`), NaN and infinity keep their meaning (no `nnan`, no `ninf`), and a
block whose sums are not finite is done again element by element.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from runner.parity.tally import EXACT_QUANTILES, FINE_BASE, FINE_BINS, Tally

_BLOCK = 2048
_FAST = {"reassoc", "contract", "nsz"}
_MIXED, _EITHER = 0, 1
RULES = {"mixed": _MIXED, "either": _EITHER, "exact": 2}


@numba.njit(fastmath=_FAST, error_model="numpy", cache=True)
def _sums(x, y, start, stop, errors):  # type: ignore[no-untyped-def]
    sum_abs = sum_signed = sum_squared = sum_x = sum_xx = sum_yy = 0.0
    for i in range(stop - start):
        a = np.float64(x[start + i])
        b = np.float64(y[start + i])
        d = b - a
        errors[i] = abs(d)
        sum_abs += abs(d)
        sum_signed += d
        sum_squared += d * d
        sum_x += a
        sum_xx += a * a
        sum_yy += b * b
    return sum_abs, sum_signed, sum_squared, sum_x, sum_xx, sum_yy


@numba.njit(fastmath=_FAST, error_model="numpy", cache=True)
def _extremes(x, start, stop, errors, bits, mean, rule, atol, rtol):  # type: ignore[no-untyped-def]
    largest = np.int64(0)  # as bits: for non-negative floats the same order, and no NaN rules to keep
    max_rel = squares = 0.0
    low = np.inf
    high = -np.inf
    over = np.int64(0)
    for i in range(stop - start):
        a = np.float64(x[start + i])
        error = errors[i]
        largest = max(largest, bits[i])
        relative = error / abs(a)
        max_rel = max(max_rel, relative)  # 0/0 is NaN, and NaN is not larger
        low = min(low, a)
        high = max(high, a)
        squares += (a - mean) * (a - mean)
        if rule == _MIXED:
            over += error > atol + rtol * abs(a)
        elif rule == _EITHER:
            over += (error > atol) & (error > rtol * abs(a))
        else:
            over += error != 0.0
    return largest, max_rel, squares, low, high, over


@numba.njit(error_model="numpy", cache=True)
def _count(bits, n, fine):  # type: ignore[no-untyped-def]
    # Four tables: neighbouring errors often share a bin, and an increment must not wait for the one before it.
    i = 0
    while i + 4 <= n:
        fine[0, max(min((bits[i] >> 45) - FINE_BASE, FINE_BINS - 1), 0)] += 1
        fine[1, max(min((bits[i + 1] >> 45) - FINE_BASE, FINE_BINS - 1), 0)] += 1
        fine[2, max(min((bits[i + 2] >> 45) - FINE_BASE, FINE_BINS - 1), 0)] += 1
        fine[3, max(min((bits[i + 3] >> 45) - FINE_BASE, FINE_BINS - 1), 0)] += 1
        i += 4
    while i < n:
        fine[0, max(min((bits[i] >> 45) - FINE_BASE, FINE_BINS - 1), 0)] += 1
        i += 1


@numba.njit(error_model="numpy", cache=True)
def _zeros(errors, n):  # type: ignore[no-untyped-def]
    zeros = np.int64(0)
    for i in range(n):
        zeros += errors[i] == 0.0
    return zeros


@numba.njit(error_model="numpy", cache=True)
def _breaks(error, expected, rule, atol, rtol):  # type: ignore[no-untyped-def]
    if rule == _MIXED:
        return error > atol + rtol * abs(expected)
    if rule == _EITHER:
        return error > atol and error > rtol * abs(expected)
    return error != 0.0


@numba.njit(error_model="numpy", cache=True)
def _run(x, y, rule, atol, rtol, nan_equal, ints, floats, fine):  # type: ignore[no-untyped-def]
    """Fill the totals: see `tally_contiguous` for what lies where."""
    errors = np.empty(_BLOCK)
    bits = errors.view(np.int64)
    cx = np.empty(_BLOCK, x.dtype)
    cy = np.empty(_BLOCK, y.dtype)
    where = np.empty(_BLOCK, np.int64)
    for start in range(0, x.size, _BLOCK):
        stop = min(start + _BLOCK, x.size)
        sums = _sums(x, y, start, stop, errors)
        n = stop - start
        dense = math.isfinite(sums[2] + sums[4] + sums[5])
        if not dense:
            n = 0
            for i in range(start, stop):
                a = np.float64(x[i])
                b = np.float64(y[i])
                ints[0] += np.isnan(a)
                ints[1] += np.isnan(b)
                ints[2] += np.isinf(a)
                ints[3] += np.isinf(b)
                if math.isfinite(a) and math.isfinite(b):
                    cx[n] = x[i]
                    cy[n] = y[i]
                    where[n] = i
                    n += 1
                elif not (a == b or (nan_equal and np.isnan(a) and np.isnan(b))):
                    ints[4] += 1
                    ints[5] += 1
                    if ints[8] < 0:
                        ints[8] = i
                    if ints[9] < 0 or i < ints[9]:
                        ints[9] = i
            sums = _sums(cx, cy, 0, n, errors)
        if n == 0:
            continue
        mean = sums[3] / n
        if dense:
            some = _extremes(x, start, stop, errors, bits, mean, rule, atol, rtol)
        else:
            some = _extremes(cx, 0, n, errors, bits, mean, rule, atol, rtol)
        ints[5] += some[5]
        if some[5] > 0 and (ints[9] < 0 or not dense):
            for i in range(n):
                at = start + i if dense else where[i]
                if _breaks(errors[i], np.float64(x[at]), rule, atol, rtol):
                    if ints[9] < 0 or at < ints[9]:
                        ints[9] = at
                    break
        block_max = 0.0
        for i in range(n):
            if bits[i] == some[0]:
                block_max = errors[i]
                if block_max > floats[8]:
                    floats[8] = block_max
                    ints[7] = start + i if dense else where[i]
                break
        _count(bits, n, fine)
        before = ints[6]
        delta = mean - floats[3]
        floats[4] += some[2] + delta * delta * (before * n / (before + n))
        floats[3] += delta * (n / (before + n))
        ints[6] += n
        floats[0] += sums[0]
        floats[1] += sums[1]
        floats[2] += sums[2]
        floats[5] += sums[4]
        floats[6] += sums[5]
        floats[7] = max(floats[7], some[1])
        floats[9] = min(floats[9], some[3])
        floats[10] = max(floats[10], some[4])
        ints[10] += _zeros(errors, n) if errors.size and block_max >= 0 else 0


def tally_contiguous(
    x: np.ndarray[Any, Any], y: np.ndarray[Any, Any], *, rule: str, atol: float, rtol: float, nan_equal: bool
) -> Tally:
    """Tally two one-dimensional contiguous arrays of one dtype, float32 or float64."""
    ints = np.zeros(11, np.int64)
    ints[7:10] = -1
    floats = np.zeros(11)
    floats[8], floats[9], floats[10] = -1.0, math.inf, -math.inf
    fine = np.zeros((4, FINE_BINS), np.int64)
    _run(x, y, RULES[rule], atol, rtol, nan_equal, ints, floats, fine)
    merged = fine.sum(axis=0)
    zeros = int(ints[10])
    tiny = int(merged[0]) - zeros  # below the lowest bin, yet not zero
    merged[0], merged[1] = zeros, merged[1] + tiny
    worst, mismatch = int(ints[7]), int(ints[8])
    kept = None
    if x.size <= EXACT_QUANTILES:
        with np.errstate(invalid="ignore", over="ignore"):
            errors = np.abs(y.astype(np.float64) - x.astype(np.float64))
        kept = [errors[np.isfinite(x) & np.isfinite(y)]]
    return Tally(
        elements=x.size,
        nan_expected=int(ints[0]),
        nan_actual=int(ints[1]),
        inf_expected=int(ints[2]),
        inf_actual=int(ints[3]),
        nonfinite_mismatches=int(ints[4]),
        violations=int(ints[5]),
        finite=int(ints[6]),
        sum_abs=float(floats[0]),
        sum_signed=float(floats[1]),
        sum_squared=float(floats[2]),
        mean_expected=float(floats[3]),
        squares_expected=float(floats[4]),
        sum_squared_expected=float(floats[5]),
        sum_squared_actual=float(floats[6]),
        max_rel=float(floats[7]),
        max_abs=float(floats[8]),
        min_expected=float(floats[9]),
        max_expected=float(floats[10]),
        worst=worst,
        worst_pair=(float(x[worst]), float(y[worst])) if worst >= 0 else (math.nan, math.nan),
        first_mismatch=mismatch,
        mismatch_pair=(float(x[mismatch]), float(y[mismatch])) if mismatch >= 0 else (math.nan, math.nan),
        first_failing=int(ints[9]),
        fine=merged,
        kept=kept,
    )
