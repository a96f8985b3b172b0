"""Candidate detectors: they look at what the nightly rule looks at, and can only leave rows in `shadow_change`.

Nothing here knows alerts or how people are told; a contract forbids the imports. `assay calibrate --detector NAME` says
what a candidate costs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np

from assay.runner.regressions.detection.detect import NIGHTLY, Rule, known_tonight
from assay.runner.regressions.detection.fleet import within
from assay.runner.regressions.detection.rule_version import version_of
from assay.schema.rows.alerts import ShadowChange

CANDIDATES: Mapping[str, Rule] = {
    "strict": replace(NIGHTLY, penalty=1.0, bandwidth=1.2, alpha=0.003, noises=1.8, straight=1.1),
    "eager": replace(NIGHTLY, tighter=3.0, young=3, clear_p=1e-4),
}
"""Detectors that are being tried, beside the one that reports."""
_LATELY = 60
_BEFORE = 20
_FRESH = 5
"""Nights of a new level after which a candidate is not asked any more: it had its chance to be early."""


def shadow_changes(histories: Sequence[Mapping[str, Any]], at: datetime) -> list[ShadowChange]:
    """What the candidates would report tonight of levels of up to five nights."""
    moving = _moving(histories)
    return [
        _row(name, rule, history, at, index, ratio, p_value)
        for name, rule in CANDIDATES.items()
        for history in moving
        for index, ratio, p_value in _said(rule, history)
    ]


def _moving(histories: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Series in which a level of up to five nights could hold at all.

    Such a level differs by 1.5 noises (2 are asked for) from the twenty nights before it. This spares the others the
    partition; those that are shorter or not positive are not judged here.
    """
    nights = _FRESH + _BEFORE
    judged = [
        history for history in histories if len(history["values"]) >= nights and min(history["values"][-nights:]) > 0
    ]
    if not judged:
        return [*histories]
    y = np.log(np.array([history["values"][-nights:] for history in judged]))
    before = y[:, :-_FRESH]
    noise = np.median(np.abs(np.diff(before, axis=1)), axis=1) / (0.6745 * 2**0.5)
    level = np.median(before, axis=1)
    newest = np.stack([np.median(y[:, -count:], axis=1) for count in range(2, _FRESH + 1)])
    still = np.abs(newest - level).max(axis=0) < 1.5 * noise
    calm = {id(history) for history, quiet in zip(judged, still, strict=True) if quiet}
    return [history for history in histories if id(history) not in calm]


def _said(rule: Rule, history: Mapping[str, Any]) -> list[tuple[int, float, float]]:
    old = max(0, len(history["values"]) - _LATELY)
    found = known_tonight(
        history["values"][old:],
        better=history["better"],
        environment=history["environments"][old:],
        within=within(history["errors"][old:]),
        rule=rule,
    )
    newest = len(history["values"])
    return [(one.index + old, one.ratio, one.p_value) for one in found if newest - one.index - old <= _FRESH]


def _row(
    name: str, rule: Rule, history: Mapping[str, Any], at: datetime, index: int, ratio: float, p_value: float
) -> ShadowChange:
    worse = (ratio > 1) == (history["better"] == "lower")
    return ShadowChange(
        detector=name,
        rule=version_of(rule),
        series_id=history["series_id"],
        name=history["name"],
        metric=history["metric"],
        run_id=history["run_ids"][index],
        started_at=history["started_at"][index],
        ratio=ratio,
        p_value=p_value,
        direction="regression" if worse else "improvement",
        detected_at=at,
    )
