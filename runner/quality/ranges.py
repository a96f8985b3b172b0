"""Whether calibration data are enough, whether one batch decides, and whether they look like data at all. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from assay.runner.tensors import Array

_SETTLED = 0.01
"""A range is settled when it is within this share of its final width."""
_ENOUGH = 1000
_LOOKED_AT = 8192
_CORRELATED = 3.3
_LIKE = 0.05


@dataclass(frozen=True, slots=True)
class Range:
    batches: int
    low: float
    high: float
    settled_at: int
    widest_batch: int
    influence: float


def learnt(extremes: list[tuple[float, float]]) -> Range | None:
    """How the range of one tensor came about, from (lowest, highest) of each batch; None without a batch.

    `settled_at` counts batches; `influence` is the share of the width that goes when `widest_batch` is left out (0 for
    a range without width).
    """
    if not extremes:
        return None
    low, high = min(e[0] for e in extremes), max(e[1] for e in extremes)
    width = high - low
    settled, seen_low, seen_high = len(extremes), float("inf"), float("-inf")
    for number, (least, most) in enumerate(extremes, 1):
        seen_low, seen_high = min(seen_low, least), max(seen_high, most)
        if seen_high - seen_low >= width * (1 - _SETTLED):
            settled = number
            break
    lows, highs = sorted(e[0] for e in extremes), sorted((e[1] for e in extremes), reverse=True)
    without = [
        (lows[1] if least == low else low, highs[1] if most == high else high) if len(extremes) > 1 else (low, low)
        for least, most in extremes
    ]
    widths = [most - least for least, most in without]
    widest = min(range(len(widths)), key=widths.__getitem__)
    influence = 1 - widths[widest] / width if width > 0 else 0.0
    return Range(len(extremes), low, high, settled, widest, influence)


def looks_drawn(values: Array) -> str | None:
    """`uniform` or `normal` where values [..., n] look like independent draws of such numbers; else None.

    No image, sound or text looks so. Neighbours along the last axis are not correlated (by 3.3 standard errors of
    independent ones), and the values pass a Kolmogorov-Smirnov test against the distribution with their own extremes,
    or their own mean and deviation. Too few values, constants and what is not finite are not judged. Features that were
    whitened may look so too.
    """
    from scipy import stats

    flat = values.reshape(-1)[:_LOOKED_AT].astype(np.float64)
    if flat.size < _ENOUGH or not np.isfinite(flat).all() or np.unique(flat).size < _ENOUGH // 4:
        return None
    rows = (
        flat.reshape(-1, values.shape[-1]) if flat.size % values.shape[-1] == 0 and values.shape[-1] > 1 else flat[None]
    )
    near = np.corrcoef(rows[:, :-1].reshape(-1), rows[:, 1:].reshape(-1))[0, 1]
    if not abs(near) < _CORRELATED / math.sqrt(flat.size):
        return None
    low, high = flat.min(), flat.max()
    if stats.kstest(flat, "uniform", args=(low, high - low)).pvalue > _LIKE:
        return "uniform"
    if stats.kstest(flat, "norm", args=(flat.mean(), flat.std())).pvalue > _LIKE:
        return "normal"
    return None
