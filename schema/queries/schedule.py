"""What became of an expectation: pure, so that the nightly job and the pages say the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

STATES = ("on time", "retired", "not started", "crashed", "uploaded nothing")


@dataclass(frozen=True, slots=True)
class Watched:
    """An expectation, and what came of it."""

    suite: str
    host: str
    model: str
    state: str
    """One of `STATES`."""
    why: str

    @property
    def name(self) -> str:
        model, host = f"model {self.model}" if self.model else "", f"on {self.host}" if self.host else ""
        return " ".join(filter(None, (self.suite, model, host)))


def state_of(expected: Mapping[str, Any], at: datetime) -> Watched:
    """What became of one expectation (`assay.schema.queries.alerts.expectations`), at a moment in UTC."""
    said = (expected["suite"], expected["host"], expected["model"])
    if expected["action"] == "retire":
        return Watched(*said, "retired", f"retired by {expected['owner']}: {expected['reason']}")
    limit = timedelta(hours=expected["every_h"] + expected["grace_h"])
    since = expected["measured_at"] or expected["recorded_at"]
    if at - since <= limit:
        return Watched(
            *said,
            "on time",
            f"measured {since:%Y-%m-%d %H:%M}" if expected["measured_at"] else "expected, and not due yet",
        )
    last = f"last measured {since:%Y-%m-%d %H:%M} UTC" if expected["measured_at"] else "never measured"
    began = expected["started_at"]
    if began is None or at - began > limit:
        return Watched(
            *said,
            "not started",
            f"no run for {_hours(at - (began or expected['recorded_at']))}, one every {expected['every_h']:g} h is"
            f" expected; {last}",
        )
    if not expected["ended"] and at - began <= timedelta(hours=expected["grace_h"]):
        return Watched(*said, "on time", f"run {expected['run_id']} is under way since {began:%Y-%m-%d %H:%M}")
    if not expected["ended"]:
        return Watched(
            *said, "crashed", f"run {expected['run_id']} of {began:%Y-%m-%d %H:%M} never came to its end; {last}"
        )
    return Watched(
        *said,
        "uploaded nothing",
        f"run {expected['run_id']} of {began:%Y-%m-%d %H:%M} ended and measured nothing; {last}",
    )


def _hours(span: timedelta) -> str:
    hours = span.total_seconds() / 3600
    return f"{hours:.0f} h" if hours < 72 else f"{hours / 24:.0f} days"
