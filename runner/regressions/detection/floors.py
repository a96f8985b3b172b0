"""How large a change of a metric has to be to be worth a word, and which metrics have no noise."""

from __future__ import annotations

from collections.abc import Mapping

from assay.runner.errors import UsageError, nearest
from assay.schema.metrics import METRICS, known


def parse(texts: list[str]) -> dict[str, float]:
    """`METRIC=5%` or `METRIC=0.05` as shares.

    Raises:
        UsageError: no such metric, or no share between 0 and 1.
    """
    found = {}
    for text in texts:
        metric, _, size = text.partition("=")
        if metric not in METRICS:
            raise UsageError(f"--floor {text!r}: there is no metric {metric!r}.{nearest(metric, METRICS)}")
        try:
            share = float(size.removesuffix("%")) / (100 if size.endswith("%") else 1)
        except ValueError:
            share = -1.0
        if not 0 <= share < 1:
            raise UsageError(f"--floor {text!r}: the size is a share such as 5% or 0.05.")
        found[metric] = share
    return found


def floor_of(metric: str, given: Mapping[str, float]) -> float:
    """The smallest change of a metric that is told: as given, else the metric's own."""
    return given.get(metric, known(metric).floor)


def is_exact(metric: str) -> bool:
    """Whether the same artifact gives the same value every night: sizes, and what is computed from answers alone."""
    return known(metric).exact


def least_move(metric: str, old: float, given: Mapping[str, float]) -> float:
    """Of a metric without noise: the smallest difference that is told, in its own unit."""
    return max(0.1 * floor_of(metric, given) * abs(old), known(metric).least)
