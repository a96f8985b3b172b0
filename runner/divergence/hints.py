"""What a diverging operator usually means: a table of known traps, and the shape of the error itself."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from assay.runner.tensors import Array

_LEFT = 0.02
"""Of an error, what a simple pattern may leave unexplained."""
_FEW = 0.05
_LOOKED_AT = 1 << 20
_AXIS = 6
"""Shorter axes say nothing of a place or a shift."""
_TRAPS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("quantile", "percentile"), "quantiles interpolate between neighbours: an index that is rounded, or floor without the fraction, is another definition"),
    (("nanmedian", "median"), "PyTorch's median is the lower of the two middle values: their mean, or another element, is not it"),
    (("quantizelinear", "dequantizelinear", "quantize", "qlinear", "matmulinteger", "convinteger"), "quantization: look at the range (clipping), the zero point, and 16-bit saturation on CPUs without VNNI (reduce_range)"),
    (("topk", "sort", "argsort", "kthvalue"), "order of equal elements, largest against smallest, and k as a 1-D tensor"),
    (("layer_norm", "layernormalization", "batch_norm", "batchnormalization", "group_norm", "instancenormalization", "rms_norm"), "another epsilon, biased against unbiased variance, or training mode"),
    (("gelu",), "the tanh approximation is not the exact GELU"),
    (("resize", "upsample", "interpolate", "grid_sample", "gridsample"), "coordinate transformation, align_corners, and the rounding of sizes"),
    (("round",), "half to even against half away from zero"),
    (("softmax", "attention", "scaled_dot_product", "masked_fill", "where"), "scale, axis, or the value that masks"),
    (("dropout", "bernoulli", "rand"), "left in training mode"),
    (("pool",), "count_include_pad, ceil_mode, and padding"),
    (("gather", "index", "select", "slice"), "an index that was computed for another length, or rounded"),
    (("pad",), "padding side, mode and value"),
    (("cast", "to_copy", "_to"), "values beyond the target's range or precision"),
    (("floor_divide", "remainder", "mod", "div", "trunc"), "integer division and remainder of negative numbers"),
    (("argmax", "argmin"), "ties"),
    (("matmul", "mm", "linear", "gemm", "conv", "einsum", "lstm", "gru"), "reduced precision (TF32, bfloat16), or other weights"),
)  # fmt: skip


def trap(*operators: str) -> str | None:
    """The known trap of the first of these operators that has one: a guess, and called one."""
    for operator in operators:
        word = operator.lower().removeprefix("aten.")
        for names, text in _TRAPS:
            if any(name in word for name in names):
                return f"a guess from the operator's name: {text}"
    return None


def pattern(expected: Array, actual: Array) -> str | None:
    """What the difference looks like, with the share of elements that it explains; None when nothing simple fits.

    A shift, a factor, whole multiples of 2 pi or of a power of two, the ends of a range, one part of an axis, a shift
    along an axis, another order.
    """
    if expected.shape != actual.shape or expected.size < 2 or expected.dtype.kind not in "fiu":
        return None
    if (placed := _placed(expected, actual)) is not None:
        return placed
    stride = -(-expected.size // _LOOKED_AT)
    x, y = (side.reshape(-1)[::stride].astype(np.float64) for side in (expected, actual))
    fine = np.isfinite(x) & np.isfinite(y)
    x, y = x[fine], y[fine]
    if x.size < 2 or not np.any(x != y):
        return None
    shapes = [_shift, _scale, _multiples, _saturated, _order, _edge]
    if stride > 1:
        shapes.remove(_order)  # an order needs every element
    return next((words for shape in shapes if (words := shape(x, y))), None)


Values = np.ndarray[Any, np.dtype[np.float64]]
Truth = np.ndarray[Any, np.dtype[np.bool_]]


def _shift(x: Values, y: Values) -> str | None:
    error = y - x
    mean = float(error.mean())
    return f"every element is off by {mean:.3g}: a bias" if mean and float(error.std()) < _LEFT * abs(mean) else None


def _scale(x: Values, y: Values) -> str | None:
    energy = float(x @ x)
    if energy == 0:
        return None
    factor = float(x @ y) / energy
    left = float(np.linalg.norm(y - factor * x))
    if left >= _LEFT * float(np.linalg.norm(y - x)) or math.isclose(factor, 1.0, rel_tol=1e-9):
        return None
    return f"it is {factor:.6g} times what it should be: a scale"


def _multiples(x: Values, y: Values) -> str | None:
    """Whole turns, or what a narrower integer wraps around."""
    off = (y - x)[np.abs(y - x) > 1e-6 + 1e-5 * np.abs(x)]
    if off.size < 2:
        return None
    for period, word in ((2 * math.pi, "2 pi"), *((2.0**bits, f"2^{bits}") for bits in (64, 32, 16, 8))):
        turns = off / period
        if np.all(np.round(turns) != 0) and np.allclose(turns, np.round(turns), rtol=0, atol=1e-3):
            return f"{off.size / x.size:.1%} of the elements are off by whole multiples of {word}, the others are equal"
    if np.all(np.abs(off) == 1) and np.all(x == np.round(x)):
        return f"{off.size / x.size:.1%} of the elements are off by exactly one"
    return None


def _saturated(x: Values, y: Values) -> str | None:
    """Every element that is off lies at the largest or smallest value that came out, and should lie beyond it."""
    low, high = y.min(), y.max()
    wrong: Truth = np.abs(y - x) > 1e-6 + 1e-3 * np.abs(x)
    ends: Truth = ((y == high) & (x > high)) | ((y == low) & (x < low))
    if low == high or not wrong.any() or not np.all(ends[wrong]):
        return None
    return f"{wrong.mean():.1%} of the elements are cut off at the ends of a range ({low:.6g} to {high:.6g})"


def _placed(expected: Array, actual: Array) -> str | None:
    """Where along an axis it is wrong, or how far it is shifted."""
    if expected.size > _LOOKED_AT or expected.ndim == 0:
        return None
    x, y = expected.astype(np.float64), actual.astype(np.float64)
    same = np.isclose(x, y, rtol=1e-5, atol=1e-8, equal_nan=True)
    if same.all():
        return None
    for axis, length in enumerate(expected.shape):
        if length < _AXIS:
            continue
        right: Truth = np.asarray(same.all(axis=tuple(other for other in range(expected.ndim) if other != axis)))
        last = int(np.flatnonzero(right).size)
        if 0 < last < length and (right[:last].all() or right[length - last :].all()):
            side = "first" if right[:last].all() else "last"
            return f"the {side} {last} of {length} along axis {axis} are right, the others are not"
        for shift in (-1, 1, -2, 2):
            kept = [slice(None)] * expected.ndim
            kept[axis] = slice(abs(shift), length - abs(shift))
            if np.allclose(np.roll(x, shift, axis)[tuple(kept)], y[tuple(kept)], rtol=1e-5, atol=1e-8):
                return f"it is shifted by {abs(shift)} along axis {axis}"
    return None


def _order(x: Values, y: Values) -> str | None:
    moved = x.size > 8 and np.allclose(np.sort(x), np.sort(y), rtol=1e-6, atol=1e-12)
    return "the same values in another order: a transposition, or an axis" if moved else None


def _edge(x: Values, y: Values) -> str | None:
    off = float(np.mean(x != y))
    return (
        f"{off:.1%} of the elements are off, the others are equal: an edge, an index or a mask" if off < _FEW else None
    )


def reduced_precision(local_rel_l2: float) -> str | None:
    """Whether an error is of the size that products with rounded inputs make.

    The errors of rounded inputs are independent, so relative to the sum they stay of the size of one, however long it
    is.
    """
    for name, bits in (("TF32", 11), ("bfloat16", 8)):
        unit = 2.0**-bits / math.sqrt(3)
        if unit / 3 <= local_rel_l2 <= unit * 3:
            return f"the size of {name} rounding ({unit:.1g})"
    return None
