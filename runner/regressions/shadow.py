"""Candidate detectors: they look at what the nightly rule looks at, and all they can do is leave rows in `shadow_change`.

Nothing here knows alerts or how people are told; a contract forbids the imports. `assay calibrate --detector NAME` says what a candidate costs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from runner.regressions.detect import NIGHTLY, Rule, known_tonight
from runner.regressions.fleet import within
from runner.regressions.rule_version import version_of
from schema.alert_rows import ShadowChange

CANDIDATES: Mapping[str, Rule] = {
    "strict": replace(NIGHTLY, penalty=1.0),
    "eager": replace(NIGHTLY, tighter=3.0, young=3, clear_p=1e-4),
}
"""Detectors that are being tried, beside the one that reports."""
_LATELY = 60
_FRESH = 5
"""Nights of a new level after which a candidate is not asked any more: it had its chance to be early."""


def shadow_changes(histories: Sequence[Mapping[str, Any]], at: datetime) -> list[ShadowChange]:
    """What the candidates would report tonight of levels of up to five nights."""
    return [
        _row(name, rule, history, at, index, ratio, p_value)
        for name, rule in CANDIDATES.items()
        for history in histories
        for index, ratio, p_value in _said(rule, history)
    ]


def _said(rule: Rule, history: Mapping[str, Any]) -> list[tuple[int, float, float]]:
    old = max(0, len(history["values"]) - _LATELY)
    found = known_tonight(
        history["values"][old:], better=history["better"], environment=history["environments"][old:], within=within(history["errors"][old:]), rule=rule
    )  # fmt: skip
    newest = len(history["values"])
    return [(one.index + old, one.ratio, one.p_value) for one in found if newest - one.index - old <= _FRESH]


def _row(
    name: str, rule: Rule, history: Mapping[str, Any], at: datetime, index: int, ratio: float, p_value: float
) -> ShadowChange:
    worse = (ratio > 1) == (history["better"] == "lower")
    return ShadowChange(
        detector=name, rule=version_of(rule), series_id=history["series_id"], name=history["name"], metric=history["metric"], run_id=history["run_ids"][index],
        started_at=history["started_at"][index], ratio=ratio, p_value=p_value, direction="regression" if worse else "improvement", detected_at=at,
    )  # fmt: skip
