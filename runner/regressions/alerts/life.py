"""The life of an alert, as far as the nightly job decides it: it opens, grows, recovers, comes back.

People decide the rest (`runner.triage`).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np

from assay.runner.regressions.alerts.causes import SEVERITIES, TOGETHER, Cause, grouped, severity_of, suspects
from assay.runner.regressions.alerts.events import event_of
from assay.runner.regressions.alerts.new_changes import Books
from assay.runner.regressions.detection.spread import RECENT
from assay.schema.rows.alerts import ACTIVE, AlertEvent, Change

Row = Mapping[str, Any]
TELL = 10
"""Nights after which a new level is history: it is recorded, and opens no alert. A first look at old books does not cry
about last winter."""
_OVER = ("recovered", "fixed")
_NEWEST = 3
_BACK = 1 / 3
"""Of a change: a level that is nearer to the old one than that is the old one."""


@dataclass(slots=True)
class Night:
    """What a nightly job records."""

    changes: list[Change] = field(default_factory=list)
    events: list[AlertEvent] = field(default_factory=list)

    def of(self, *actions: str) -> list[AlertEvent]:
        return [event for event in self.events if event.action in actions]


def decide(fresh: Sequence[Change], alerts: Sequence[Row], books: Books, at: datetime) -> Night:
    """What tonight's new changes open, and what became of the alerts that there are.

    A level that is worse stays an alert until somebody accepts it, it is back, or its samples are called invalid:
    nothing here ever takes it for the new
    normal because it is old.
    """
    night = Night()
    told = [change for change in fresh if change.direction == "regression" and len(change.after) <= TELL]
    night.changes += [change for change in fresh if change not in told]
    told = _reopen(told, alerts, books, night, at)
    told = _join(told, alerts, books, night, at)
    for cause in grouped(told, _watched(books)):
        alert_id = _identity(cause)
        night.events.append(
            event_of(
                alert_id,
                "opened",
                at,
                _why(cause),
                cause_kind=cause.kind,
                cause=cause.name,
                title=cause.title,
                severity=cause.severity,
            )
        )
        night.changes += [replace(change, alert_id=alert_id) for change in cause.changes]
    decided = {event.alert_id for event in night.events}
    histories = {history["series_id"]: history for history in (*books.series, *books.verdicts)}
    for alert in alerts:
        if alert["alert_id"] in decided or alert["state"] not in (*ACTIVE, "fixed") or alert["cause_kind"] == "absence":
            continue
        rows = [
            row for row in books.changes if row["alert_id"] == alert["alert_id"] and row["direction"] == "regression"
        ]
        event = _became(
            alert, [(row, histories[row["series_id"]]) for row in rows if row["series_id"] in histories], at
        )
        night.events += [event] if event is not None else []
    return night


def _watched(books: Books) -> list[dict[str, Any]]:
    return [{**history, "host": history["hosts"][-1]} for history in (*books.series, *books.verdicts)]


def _reopen(told: Sequence[Change], alerts: Sequence[Row], books: Books, night: Night, at: datetime) -> list[Change]:
    """Changes of series whose alert was over go to that alert again; returns the others."""
    over = {alert["alert_id"] for alert in alerts if alert["state"] in _OVER}
    newest_last = sorted(books.changes, key=lambda row: row["started_at"])
    last = {
        row["series_id"]: row for row in newest_last if row["alert_id"] in over and row["direction"] == "regression"
    }
    again: dict[str, list[Change]] = {}
    for change in told:
        if change.series_id in last and _is_again(last[change.series_id], change):
            again.setdefault(last[change.series_id]["alert_id"], []).append(change)
    for alert_id, changes in again.items():
        alert = next(alert for alert in alerts if alert["alert_id"] == alert_id)
        fixed = (
            f" although {alert['fixed_by']} was said to fix it"
            if alert["state"] == "fixed" and alert["fixed_by"]
            else ""
        )
        severity = max((severity_of(change) for change in changes), key=SEVERITIES.index)
        reason = (
            f"it came back{fixed}: {changes[0].name} {changes[0].metric}: {changes[0].message} (version"
            f" {changes[0].version})"
        )
        night.events.append(event_of(alert_id, "reopened", at, reason, severity=severity))
        night.changes += [replace(change, alert_id=alert_id) for change in changes]
    taken = {change.change_id for changes in again.values() for change in changes}
    return [change for change in told if change.change_id not in taken]


def _is_again(old: Row, new: Change) -> bool:
    """Whether a change leads to the level of an earlier one (within half of its size): then it came back.

    Another level is another alert.
    """
    if new.kind in ("verdict", "status", "pass_rate", "spread") or not (old["before"] and old["after"] and new.after):
        return bool(old["kind"] == new.kind)
    before, level, now = (float(np.median(side)) for side in (old["before"], old["after"], new.after))
    if min(before, level, now) > 0:
        before, level, now = math.log(before), math.log(level), math.log(now)
    return abs(now - level) <= 0.5 * abs(level - before)


def _join(told: Sequence[Change], alerts: Sequence[Row], books: Books, night: Night, at: datetime) -> list[Change]:
    """Changes that an alert's cause explains, whose levels began in the same night, go to it; returns the others."""
    began: dict[str, list[datetime]] = {}
    for row in books.changes:
        began.setdefault(row["alert_id"], []).append(row["started_at"])
    theirs: dict[str, list[Change]] = {}
    for change in told:
        causes = {*suspects(change).items(), ("case", change.name)}
        for alert in alerts:
            near = any(abs(change.started_at - other) <= TOGETHER for other in began.get(alert["alert_id"], ()))
            if near and alert["state"] in ACTIVE and (alert["cause_kind"], alert["cause"]) in causes:
                theirs.setdefault(alert["alert_id"], []).append(change)
                break
    for alert_id, changes in theirs.items():
        alert = next(alert for alert in alerts if alert["alert_id"] == alert_id)
        worst = max(changes, key=lambda change: SEVERITIES.index(severity_of(change)))
        reason = f"{worst.name} {worst.metric}: {worst.message}" + (
            f" and {len(changes) - 1} more" if len(changes) > 1 else ""
        )
        night.events.append(
            event_of(alert_id, "grew", at, reason, severity=_worse(alert["severity"], severity_of(worst)))
        )
        night.changes += [replace(change, alert_id=alert_id) for change in changes]
    taken = {change.change_id for changes in theirs.values() for change in changes}
    return [change for change in told if change.change_id not in taken]


def _worse(old: str, new: str) -> str:
    return max(old, new, key=SEVERITIES.index)


def _identity(cause: Cause) -> str:
    first = min(cause.changes, key=lambda change: (change.started_at, change.change_id))
    return hashlib.sha256(f"{cause.kind}/{cause.name}/{first.change_id}".encode()).hexdigest()[:12]


def _why(cause: Cause) -> str:
    """The suspects: versions and commits on both sides of the boundary, and whether the same bytes ran."""
    first = cause.changes[0]
    commits = (
        f"; commits {first.commit_before[:12]}..{first.commit_after[:12]}"
        if first.commit_before and first.commit_after
        else ""
    )
    same = [change for change in cause.changes if change.artifact and change.artifact == change.artifact_before]
    bytes_ = "; the same artifact on both sides: not what was built" if len(same) == len(cause.changes) else ""
    versions = (
        f"version {first.version_before} -> {first.version}"
        if first.version != first.version_before
        else f"version {first.version} on both sides"
    )
    return f"{versions}{commits}; runs {first.run_before} -> {first.run_id}{bytes_}"


def _became(alert: Row, mine: Sequence[tuple[Row, Row]], at: datetime) -> AlertEvent | None:
    """Recovered, not fixed after all, or its mute is over; None where nothing changed.

    `mine` are the alert's changes with their histories.
    """
    if alert["state"] == "fixed":
        return _unfixed(alert, mine, at)
    if mine and all(is_back(row, history) for row, history in mine):
        _, history = mine[0]
        reason = f"all {len(mine)} series are back, by run {history['run_ids'][-1]} (version {history['versions'][-1]})"
        return event_of(alert["alert_id"], "recovered", at, reason)
    why = _mute_over(alert, mine, at) if alert["state"] == "muted" else None
    return None if why is None else event_of(alert["alert_id"], "unmuted", at, f"{why}, and it is still there")


def _mute_over(alert: Row, mine: Sequence[tuple[Row, Row]], at: datetime) -> str | None:
    """Why a mute is over: its day has come, or its version has run since."""
    if alert["until"] is not None and alert["until"] <= at:
        return f"the mute ended on {alert['until']:%Y-%m-%d}"
    ran = {
        version
        for _, history in mine
        for version, start in zip(history["versions"], history["started_at"], strict=True)
        if start > alert["decided_at"]
    }
    return f"version {alert['until_version']} has run" if alert["until_version"] in ran else None


def _unfixed(alert: Row, mine: Sequence[tuple[Row, Row]], at: datetime) -> AlertEvent | None:
    """A fix that its first three nights do not show opens the alert again: saying so does not make a level normal.

    The nights are those of the version that was said to fix it, or all since it was said.
    """
    for row, history in mine:
        nights = [
            i
            for i, (version, start) in enumerate(zip(history["versions"], history["started_at"], strict=True))
            if start > row["started_at"]
            and (version == alert["fixed_by"] if alert["fixed_by"] else start > alert["decided_at"])
        ]
        if len(nights) < _NEWEST:
            continue
        until = nights[_NEWEST - 1] + 1
        seen = {**history, "run_ids": history["run_ids"][:until], "values": history["values"][:until]}
        if not is_back(row, seen) and not is_back(row, history):
            by = (
                f"{alert['fixed_by']} has run {_NEWEST} nights"
                if alert["fixed_by"]
                else f"{_NEWEST} nights have run since"
            )
            return event_of(
                alert["alert_id"],
                "reopened",
                at,
                f"it is not fixed: {by}, and {row['name']} {row['metric']} is where it was",
            )
    return None


def is_back(change: Row, history: Row) -> bool:
    """Whether a series is where it was before a change.

    Its newest 3 nights (1 without noise) by their median, 2 verdicts, 10 nights of a spread or rate.
    """
    place = next((i for i, run in enumerate(history["run_ids"]) if run == change["run_id"]), None)
    after = history["values"][place + 1 :] if place is not None else history["values"]
    before, kind = change["before"], change["kind"]
    if kind in ("verdict", "status"):
        return len(after) >= 2 and all(after[-2:])
    if kind == "pass_rate":
        return len(after) >= RECENT and float(np.mean(after[-RECENT:])) >= float(np.mean(before or [1.0])) - 0.05
    newest = after[-1:] if kind == "exact" else after[-_NEWEST:]
    if len(newest) < (1 if kind == "exact" else 2) or not before:
        return False
    if kind == "spread":
        recent = np.log(np.maximum(after[-RECENT:], 1e-300))
        return (
            len(after) >= RECENT
            and change["ratio"]
            and float(np.std(recent)) < 0.5 * change["ratio"] * (change["noise"] or 1.0)
        )
    old, moved = float(np.median(before)), float(np.median(change["after"][:5]))
    now = float(np.median(newest))
    if min(old, moved, now) > 0:
        old, moved, now = math.log(old), math.log(moved), math.log(now)
    return (now - old) * math.copysign(1, moved - old) <= _BACK * abs(moved - old)
