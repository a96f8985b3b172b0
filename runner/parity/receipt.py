"""The receipt: the stored facts of one comparison, the same in the table, in `--json` and here."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from assay.runner.parity.tally import Tally


def _decibels(signal: float, noise: float) -> float | None:
    """10 log10(signal / noise): infinite without noise, None when both are zero, -inf for noise on a zero signal."""
    if math.isinf(signal) and math.isinf(noise):  # squares beyond float64: the ratio is not known
        return None
    if noise == 0:
        return math.inf if signal > 0 else None
    if signal == 0:
        return -math.inf
    if (ratio := signal / noise) in (0.0, math.inf) and math.isfinite(signal) and math.isfinite(noise):
        return 10 * (math.log10(signal) - math.log10(noise))  # their quotient leaves float64, its logarithm does not
    return -math.inf if ratio == 0 else 10 * math.log10(ratio)


def _index(flat: int, shape: tuple[int, ...] | None) -> list[int] | None:
    if flat < 0:
        return None
    if shape is None:
        return [flat]
    return [int(i) for i in np.unravel_index(flat, shape)] if shape else []


def receipt(tally: Tally, shape: tuple[int, ...] | None) -> dict[str, Any]:
    """Receipt columns (DESIGN: assay.schema.rows.Parity) of a tally; `shape` turns flat indices into positions.

    Statistics are over pairs finite on both sides and None when there is none. SQNR is
    10 log10(sum x^2 / sum (x - y)^2), infinite when equal; PSNR takes the expected side's range as its peak, and is
    None when that is zero. A ratio of sums that float64 cannot hold (values beyond 1e154) is None.
    """
    n = tally.finite
    mismatched = tally.first_mismatch >= 0
    p50, p95, p99, p999 = tally.quantiles(0.5, 0.95, 0.99, 0.999)
    worst = tally.first_mismatch if mismatched else tally.worst
    worst_pair = tally.mismatch_pair if mismatched else tally.worst_pair
    mse = tally.sum_squared / n if n else None
    peak = tally.max_expected - tally.min_expected if n else None
    norm = math.sqrt(tally.sum_squared_expected) * math.sqrt(tally.sum_squared_actual)
    dot = (tally.sum_squared_expected + tally.sum_squared_actual - tally.sum_squared) / 2
    rel_l2 = None
    if n and math.isinf(tally.sum_squared_expected):
        rel_l2 = None
    elif n and tally.sum_squared_expected > 0:
        rel_l2 = math.sqrt(tally.sum_squared / tally.sum_squared_expected)
    elif n:
        rel_l2 = math.inf if tally.sum_squared else 0.0
    return {
        "elements": tally.elements,
        "skipped": tally.skipped,
        "nan_expected": tally.nan_expected,
        "nan_actual": tally.nan_actual,
        "inf_expected": tally.inf_expected,
        "inf_actual": tally.inf_actual,
        "nonfinite_mismatches": tally.nonfinite_mismatches,
        "expected_min": tally.min_expected if n else None,
        "expected_max": tally.max_expected if n else None,
        "expected_std": math.sqrt(tally.squares_expected / n) if n and tally.squares_expected >= 0 else None,
        "max_abs": tally.max_abs if n else None,
        "mean_abs": tally.sum_abs / n if n else None,
        "p50_abs": p50,
        "p95_abs": p95,
        "p99_abs": p99,
        "p999_abs": p999,
        "max_rel": tally.max_rel if n else None,
        "rel_l2": rel_l2,
        "mse": mse,
        "mean_signed": tally.sum_signed / n if n else None,
        "sqnr_db": _decibels(tally.sum_squared_expected, tally.sum_squared) if n else None,
        "psnr_db": _decibels(peak * peak, mse) if peak and mse is not None else None,
        "psnr_peak": peak,
        "cosine": dot / norm if n and 0 < norm < math.inf and math.isfinite(dot) else None,
        "violations": tally.violations,
        "worst_index": _index(worst, shape),
        "worst_expected": worst_pair[0] if worst >= 0 else None,
        "worst_actual": worst_pair[1] if worst >= 0 else None,
        "first_failing_index": _index(tally.first_failing, shape),
        "histogram": tally.histogram(),
        **_said(tally),
    }


def _said(tally: Tally) -> dict[str, Any]:
    """What a receipt of text has in place of numbers: the pair as JSON, and a spread of 0 where one text is all."""
    if tally.text is None:
        return {}
    pair = tally.text.pair
    return {
        "worst_expected": None,
        "worst_actual": None,
        "worst_pair": None if pair is None else json.dumps(pair, ensure_ascii=False),
        "expected_std": 0.0 if tally.text.only is not None else None,
    }


def empty_receipt() -> dict[str, Any]:
    """What is stored when nothing could be compared: counts are zero, figures are absent."""
    return receipt(Tally(), None)
