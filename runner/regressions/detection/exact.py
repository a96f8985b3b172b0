"""Figures without noise: a size, a score of a deterministic model. One night is enough."""

from __future__ import annotations

from collections.abc import Sequence

_QUIET = 3
"""Equal nights without which nobody knows that a figure has no noise."""


def moved(values: Sequence[float], least: float) -> int | None:
    """The first night of the newest value, where that is another one than before; None elsewhere.

    At least 3 nights before it have to be all equal (within `least`).
    """
    newest = values[-1] if values else 0.0
    start = len(values)
    while start and abs(values[start - 1] - newest) <= least:
        start -= 1
    earlier = values[max(0, start - _QUIET) : start]
    if len(earlier) < _QUIET or max(earlier) - min(earlier) > least:
        return None
    return start
