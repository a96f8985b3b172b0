"""All series of one store: their changes, with what they begin with, and how many of them are expected to be false."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from assay.runner.regressions.detection.calibrate import stationary
from assay.runner.regressions.detection.detect import LevelShift, changes, known_tonight
from assay.runner.regressions.detection.histories import KINDS, nights
from assay.runner.tensors import Array

Row = Mapping[str, Any]
_MADE_UP_NIGHTS = 60


@dataclass(frozen=True, slots=True)
class Moved:
    """A change of one recorded series."""

    series_id: str
    name: str
    metric: str
    kind: str
    """`regression` or `improvement`."""
    ratio: float
    low: float
    high: float
    p_value: float
    q_value: float
    """Of the changes that are at least as clear as this one, the share that is expected to be false (Benjamini,
    Hochberg 1995)."""
    version_before: str
    version: str
    """Of the first night of the new level."""
    run_id: str
    started_at: datetime


def over_all(histories: Sequence[Row], *, online: bool) -> list[Moved]:
    """Every change of every series (`assay.schema.queries.series.series`), the newest first."""
    look = known_tonight if online else changes
    found: list[tuple[Row, LevelShift]] = []
    calm = 0
    for history in histories:
        seen = look(
            history["values"],
            better=history["better"],
            environment=history["environments"],
            within=within(history["errors"]),
        )
        found += [(history, change) for change in seen]
        calm += not seen
    # A series without a change was tested too, and all that is known of its p value is that it was large.
    q_values = benjamini_hochberg([change.p_value for _, change in found], len(found) + calm)
    made = [_moved(history, change, q) for (history, change), q in zip(found, q_values, strict=True)]
    return sorted(made, key=lambda one: (one.started_at, one.name, one.metric), reverse=True)


def within(errors: Sequence[float | None]) -> float:
    """The median squared relative standard error of a night; 0 where no night has one."""
    known = np.asarray(errors, np.float64)  # None becomes NaN
    known = known[np.isfinite(known)]
    return float(np.median(known**2)) if len(known) else 0.0


def benjamini_hochberg(p_values: Sequence[float], tests: int) -> list[float]:
    """Adjusted p values in the same order, for that many tests in all.

    Raises:
        ValueError: there are fewer tests than p values.
    """
    if tests < len(p_values):
        raise ValueError(f"{len(p_values)} p values cannot come from {tests} tests")
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    least = 1.0
    for rank in range(len(order), 0, -1):
        least = min(least, p_values[order[rank - 1]] * tests / rank)
        adjusted[order[rank - 1]] = least
    return adjusted


def noises_of(histories: Sequence[Row], seed: int, most: int) -> tuple[list[Array], str]:
    """The noise of recorded series, or made-up ones where none is recorded; and which of the two it is, in words."""
    if histories:
        places = np.linspace(0, len(histories) - 1, min(most, len(histories))).round().astype(int)
        chosen = [histories[i] for i in places]
        return [
            stationary(history["values"]) for history in chosen
        ], f"{len(chosen)} recorded series of 20 nights or more"
    generator = np.random.default_rng(seed)
    made = [nights(kind, _MADE_UP_NIGHTS, generator) for kind in KINDS for _ in range(max(1, most // len(KINDS)))]
    return made, f"made up, {len(made)} series of {len(KINDS)} kinds: no series of 20 nights is recorded"


def _moved(history: Row, change: LevelShift, q_value: float) -> Moved:
    at = change.index
    return Moved(
        history["series_id"], history["name"], history["metric"], "regression" if change.regression else "improvement", change.ratio, change.low,
        change.high, change.p_value, q_value, history["versions"][at - 1], history["versions"][at], history["run_ids"][at], history["started_at"][at],
    )  # fmt: skip
