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
    """The known trap of the first of these operators that has one."""
    for operator in operators:
        word = operator.lower().removeprefix("aten.")
        for names, text in _TRAPS:
            if any(name in word for name in names):
                return text
    return None


def pattern(expected: Array, actual: Array) -> str | None:
    """What the difference looks like: a shift, a factor, another order, rounding; None when nothing simple fits."""
    if expected.shape != actual.shape or expected.size < 2 or expected.dtype.kind not in "fiu":
        return None
    stride = -(-expected.size // _LOOKED_AT)
    x, y = (side.reshape(-1)[::stride].astype(np.float64) for side in (expected, actual))
    fine = np.isfinite(x) & np.isfinite(y)
    x, y = x[fine], y[fine]
    if x.size < 2 or not np.any(x != y):
        return None
    shapes = (_shift, _scale, _order, _edge) if stride == 1 else (_shift, _scale, _edge)  # an order needs every element
    return next((words for shape in shapes if (words := shape(x, y))), None)


Values = np.ndarray[Any, np.dtype[np.float64]]


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
