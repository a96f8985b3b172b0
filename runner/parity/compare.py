"""The comparison kernel: two arrays in, a tally out, in one pass and constant memory.

The blocked numpy form here is the definition; `compiled.py` is the fast one for large float arrays, and a property test
holds them equal. Sums are float64 throughout: float32 sums over 10^8 elements give a cosine of 1.02.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

import ml_dtypes  # noqa: F401  registers bfloat16 and the float8 types with numpy
import numpy as np

from assay.runner.parity.tally import EXACT_QUANTILES, Tally, fine_bins
from assay.runner.parity.texts import tally_texts
from assay.runner.tensors import is_text

Array = np.ndarray[Any, np.dtype[Any]]

RULES = ("mixed", "either", "exact")
_BLOCK = 65_536
_EXACT = 2.0**53
"""From here on float64 does not hold every integer."""
_COMPILE_FROM = 1 << 20
"""Below this, starting the compiler costs more than it saves."""


def can_compile() -> bool:
    return importlib.util.find_spec("numba") is not None


def tally(
    expected: Array,
    actual: Array,
    *,
    mask: Array | None = None,
    rule: str = "mixed",
    atol: float = 0.0,
    rtol: float = 0.0,
    nan_equal: bool = False,
    compiled: bool | None = None,
) -> Tally:
    """Compare two arrays of the same shape; `mask` (same shape, bool) is True where a pair counts.

    Rules for one finite pair, d = actual - expected: `mixed` |d| <= atol + rtol |expected|; `either` |d| <= atol or
    |d| <= rtol |expected|; `exact` equal values. Equal infinities agree under every rule and take no part in the
    statistics; two NaN agree only with `nan_equal`. Integers of 64 bits are subtracted exactly.
    Text is compared exactly, whatever the rule.
    `compiled` None picks the faster implementation that is installed.

    Raises:
        ValueError: the shapes differ (nothing is broadcast), one side alone is text, or a dtype has no order (objects
            that are no text; complex numbers, which `assay.runner.parity.pairs` makes reals of).
    """
    if expected.shape != actual.shape:
        raise ValueError(f"shape {expected.shape} was expected, {actual.shape} came")
    if is_text(expected) or is_text(actual):
        return tally_texts(expected, actual, mask)
    for side in (expected, actual):
        if side.dtype.kind in "cMm" or (side.dtype.kind == "V" and not _is_low_precision(side.dtype)):
            raise ValueError(_no_numbers(side.dtype))
    settings: dict[str, Any] = {"rule": rule, "atol": atol, "rtol": rtol, "nan_equal": nan_equal}
    if compiled is None:
        compiled = expected.size >= _COMPILE_FROM and can_compile()
    plain = mask is None and expected.flags.c_contiguous and actual.flags.c_contiguous
    if compiled and plain and expected.dtype == actual.dtype and expected.dtype in (np.float32, np.float64):
        from assay.runner.parity.compiled import tally_contiguous

        return tally_contiguous(expected.reshape(-1), actual.reshape(-1), **settings)
    whole = Tally()
    offset = 0
    for x, y, keep in _chunks(expected, actual, mask):
        positions = None if keep is None else np.flatnonzero(keep)
        part = _tally_block(x if keep is None else x[keep], y if keep is None else y[keep], **settings)
        part.skipped = x.size - part.elements
        if positions is not None:
            part.worst, part.first_mismatch, part.first_failing = (
                int(positions[i]) if i >= 0 else -1 for i in (part.worst, part.first_mismatch, part.first_failing)
            )
        whole.merge(part, offset)
        offset += x.size
    return whole


def _no_numbers(dtype: np.dtype[Any]) -> str:
    """Why a dtype cannot be compared as numbers, and what to do."""
    if dtype.kind == "V":
        return (
            f"values of dtype {dtype} are bytes without a type (numpy's files lose the name of bfloat16 and float8):"
            " write them as safetensors, or as float32"
        )
    return f"values of dtype {dtype} cannot be compared as numbers"


def _is_low_precision(dtype: np.dtype[Any]) -> bool:
    return dtype.name.startswith(("bfloat16", "float8", "int4", "uint4", "float4", "int2", "uint2"))


def _chunks(expected: Array, actual: Array, mask: Array | None) -> Iterator[tuple[Array, Array, Array | None]]:
    """Pieces of at most a block in C order, whatever the strides; only non-contiguous pieces are copied."""
    if expected.size == 0:
        return
    arrays = [expected, actual] if mask is None else [expected, actual, np.asarray(mask, dtype=bool)]
    if mask is not None and arrays[2].shape != expected.shape:
        raise ValueError(f"the mask has shape {arrays[2].shape}, the arrays {expected.shape}")
    flats = [a.reshape(-1) if a.flags.c_contiguous else a.flat for a in arrays]
    for start in range(0, expected.size, _BLOCK):
        pieces = [np.asarray(flat[start : start + _BLOCK]) for flat in flats]
        yield pieces[0], pieces[1], pieces[2] if mask is not None else None


def _as_float(values: Array) -> np.ndarray[Any, np.dtype[np.float64]]:
    return values.astype(np.float64)


def _signed_error(x: Array, y: Array, xf: Array, yf: Array) -> Array:
    """Actual - expected; integers that float64 would round are subtracted as integers, whatever the other side is."""
    if x.dtype == y.dtype and _is_wide(x):
        larger, smaller = np.maximum(x, y).view(np.uint64), np.minimum(x, y).view(np.uint64)
        return np.where(y >= x, 1.0, -1.0) * (larger - smaller).astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        signed: Array = yf - xf
    if _is_wide(x) or _is_wide(y):
        large = np.isfinite(yf) & np.isfinite(xf) & ((np.abs(xf) >= _EXACT) | (np.abs(yf) >= _EXACT))
        for i in np.flatnonzero(large & (np.abs(signed) < _EXACT)):
            if xf[i] == np.floor(xf[i]) and yf[i] == np.floor(yf[i]):
                signed[i] = float(int(y[i]) - int(x[i]))
    return signed


def _is_wide(values: Array) -> bool:
    """Whether an array holds integers that float64 cannot."""
    return values.dtype.kind in "iu" and values.dtype.itemsize == 8


def _deviations(x: Array, xf: Array) -> tuple[float, float]:
    """Mean, and the sum of squares about it; of wide integers about the smallest first, so that no digit is lost."""
    if _is_wide(x):
        least = x.min()
        above = (x.view(np.uint64) - least.view(np.uint64)).astype(np.float64)
        return float(least) + float(above.mean()), float(np.square(above - above.mean()).sum())
    mean = float(xf.mean())
    return mean, float(np.square(xf - mean).sum())


def _tally_block(x: Array, y: Array, *, rule: str, atol: float, rtol: float, nan_equal: bool) -> Tally:
    xf, yf = _as_float(x), _as_float(y)
    signed = _signed_error(x, y, xf, yf)
    nan_x, nan_y, inf_x, inf_y = np.isnan(xf), np.isnan(yf), np.isinf(xf), np.isinf(yf)
    finite = ~(nan_x | nan_y | inf_x | inf_y)
    agree = (xf == yf) | (nan_x & nan_y if nan_equal else False)
    mismatch = ~finite & ~agree
    all_errors = np.abs(signed)
    all_magnitudes = np.abs(xf)
    with np.errstate(invalid="ignore", over="ignore"):
        if rule == "mixed":
            broken = all_errors > atol + rtol * all_magnitudes
        elif rule == "either":
            broken = (all_errors > atol) & (all_errors > rtol * all_magnitudes)
        elif rule == "exact":
            broken = all_errors != 0
        else:
            raise ValueError(f"unknown rule {rule!r}; there are {', '.join(RULES)}")
    failing = np.flatnonzero((broken & finite) | mismatch)
    result = Tally(
        elements=x.size,
        nan_expected=int(nan_x.sum()),
        nan_actual=int(nan_y.sum()),
        inf_expected=int(inf_x.sum()),
        inf_actual=int(inf_y.sum()),
        nonfinite_mismatches=int(mismatch.sum()),
        violations=failing.size,
        finite=int(finite.sum()),
        first_failing=int(failing[0]) if failing.size else -1,
    )
    if result.nonfinite_mismatches:
        result.first_mismatch = int(np.argmax(mismatch))
        result.mismatch_pair = (float(xf[result.first_mismatch]), float(yf[result.first_mismatch]))
    if result.finite:
        _add_statistics(result, x[finite], xf[finite], yf[finite], signed[finite])
        result.worst = int(np.flatnonzero(finite)[np.argmax(all_errors[finite])])
        result.worst_pair = (float(xf[result.worst]), float(yf[result.worst]))
    return result


def _add_statistics(result: Tally, exact: Array, x: Array, y: Array, signed: Array) -> None:
    errors = np.abs(signed)
    magnitudes = np.abs(x)
    result.sum_abs = float(errors.sum())
    result.sum_signed = float(signed.sum())
    with np.errstate(over="ignore"):
        result.sum_squared = float(np.dot(signed, signed))
        result.sum_squared_expected = float(np.dot(x, x))
        result.sum_squared_actual = float(np.dot(y, y))
        result.mean_expected, result.squares_expected = _deviations(exact, x)
    result.min_expected, result.max_expected = float(x.min()), float(x.max())
    result.max_abs = float(errors.max())
    wrong = errors > 0
    if wrong.any():
        with np.errstate(divide="ignore", over="ignore"):
            result.max_rel = float(np.max(errors[wrong] / magnitudes[wrong]))
    result.fine += np.bincount(fine_bins(errors), minlength=result.fine.size)
    result.kept = [errors] if errors.size <= EXACT_QUANTILES else None
