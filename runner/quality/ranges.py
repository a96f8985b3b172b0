"""Whether calibration data are enough, and whether one batch decides: pure, from each batch's extremes."""

from __future__ import annotations

from dataclasses import dataclass

_SETTLED = 0.01
"""A range is settled when it is within this share of its final width."""


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

    `settled_at` counts batches; `influence` is the share of the width that goes when `widest_batch` is left out (0 for a range without width).
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
