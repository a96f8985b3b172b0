"""How large a change of a metric has to be to be worth a word, and which metrics have no noise."""

from __future__ import annotations

from collections.abc import Mapping

from assay.runner.errors import UsageError, nearest
from assay.runner.metrics import METRICS

DEFAULT = 0.01
"""Of ln(value): about a percent."""
_BY_ENDING = {
    "_p90_ms": 0.02,
    "_p95_ms": 0.02,
    "_p99_ms": 0.03,
    "_std_ms": 0.10,
    "rss_bytes": 0.02,
    "load_ms": 0.05,
    "first_inference_ms": 0.05,
}
"""Tails, memory of a whole process, and what happens once move more than a median does without anybody having changed
anything."""
_ABSOLUTE = {"dB": 0.1, "1": 5e-4}
"""Of metrics without noise, by their unit: shares near 0 have no percent."""
_EXACT_ENDINGS = (
    "model_bytes",
    "parameter_bytes",
    "engine_weights_bytes",
    "bits_per_weight",
    "_sqnr_db",
    "weight_max_abs",
    "weight_mean_abs",
)
_TIMED = ("latency_ratio", "launch_noise", "noise", "latency_ratio_detectable", "gpu_throttled_share")


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
    """The smallest change of a metric that is told: as given, else by its name, else about a percent."""
    if metric in given:
        return given[metric]
    return next((floor for ending, floor in _BY_ENDING.items() if metric.endswith(ending)), DEFAULT)


def is_exact(metric: str) -> bool:
    """Whether the same artifact gives the same value every night: sizes, and what is computed from answers alone."""
    if metric.endswith(_EXACT_ENDINGS):
        return True
    known = METRICS.get(metric)
    return known is not None and known.unit == "1" and metric not in _TIMED


def least_move(metric: str, old: float, given: Mapping[str, float]) -> float:
    """Of a metric without noise: the smallest difference that is told, in its own unit."""
    known = METRICS.get(metric)
    return max(0.1 * floor_of(metric, given) * abs(old), _ABSOLUTE.get(known.unit if known else "", 0.0))
