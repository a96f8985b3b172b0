"""Waivers: a failure that is known and harmless, for as long as its premise holds. Pure: events in, waivers out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatch
from typing import Any


@dataclass(frozen=True, slots=True)
class Waiver:
    """What may fail, why, until when, and whose word it is."""

    waiver_id: str
    case_pattern: str
    output: str
    premise: str
    max_abs: float | None
    owner: str
    reason: str
    expires_at: datetime | None

    def covers(self, case_name: str, output: str | None = None) -> bool:
        """Whether it is about this case, and this output of it."""
        about = fnmatch(case_name, self.case_pattern) or case_name == self.case_pattern
        return about and (output is None or output == self.output)

    def void(self, receipt: Mapping[str, Any], premises: Iterable[Mapping[str, Any]], at: datetime) -> str | None:
        """Why it does not help this time, or None when it does.

        `premises` are what became of every premise in the run: a premise that was never evaluated has not held.
        """
        if self.expires_at is not None and at >= self.expires_at:
            return f"it expired on {self.expires_at:%Y-%m-%d}"
        watched = next((p for p in premises if p["expression"] == self.premise), None)
        if watched is None or watched["checked"] == 0:
            return f"its premise ({self.premise}) was not checked"
        if watched["broken"]:
            return f"its premise ({self.premise}) broke at {watched['observed']}"
        if receipt.get("problem") or receipt.get("max_abs") is None or receipt.get("nonfinite_mismatches"):
            return "it covers a measured error, and this is not one"
        if self.max_abs is not None and receipt["max_abs"] > self.max_abs:
            return f"the error {receipt['max_abs']:.3g} is beyond the waived {self.max_abs:g}"
        return None


def waiver_id(case_pattern: str, output: str, premise: str, owner: str) -> str:
    """The same waiver granted again is the same waiver."""
    return hashlib.sha256(f"{case_pattern}\0{output}\0{premise}\0{owner}".encode()).hexdigest()[:12]


def in_force(events: Iterable[Mapping[str, Any]]) -> list[Waiver]:
    """Waivers granted and not revoked since, by the order in which their events were recorded.

    Expired ones are still here, because a run has to say that they expired.
    """
    latest: dict[str, Mapping[str, Any]] = {}
    for event in sorted(events, key=lambda e: (e["recorded_at"], e["event_id"])):
        latest[event["waiver_id"]] = event
    return [
        Waiver(**{name: event[name] for name in Waiver.__dataclass_fields__})
        for event in latest.values()
        if event["action"] == "grant"
    ]
