"""What should have been measured and was not.

Not started, crashed, and uploaded nothing are told apart; what was retired on purpose is none of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from assay.runner.regressions.alerts.events import event_of
from assay.schema.queries.schedule import Watched, state_of
from assay.schema.rows.alerts import ACTIVE, AlertEvent

Row = Mapping[str, Any]


def absences(expected: Sequence[Row], alerts: Sequence[Row], at: datetime) -> list[AlertEvent]:
    """Events of tonight: one alert a cause.

    A host whose every suite is absent is one cause; else each state of a suite on a host is, whatever its models.
    """
    watched = [state_of(row, at) for row in expected]
    active = {
        alert["alert_id"]: alert for alert in alerts if alert["cause_kind"] == "absence" and alert["state"] in ACTIVE
    }
    accepted = {
        alert["alert_id"]: alert
        for alert in alerts
        if alert["cause_kind"] == "absence" and alert["state"] == "expected"
    }
    past = {alert["alert_id"] for alert in alerts if alert["cause_kind"] == "absence"}
    causes = _causes(watched)
    events = []
    for cause, members in causes.items():
        identity = _identity(cause)
        if identity not in active and identity not in accepted:
            why = "; ".join(f"{one.name}: {one.why}" for one in members)
            if identity in past:
                events.append(event_of(identity, "reopened", at, why, severity="high"))
            else:
                events.append(
                    event_of(
                        identity,
                        "opened",
                        at,
                        why,
                        cause_kind="absence",
                        cause=cause,
                        title=f"absent: {cause}",
                        severity="high",
                    )
                )
    still = {_identity(cause) for cause in causes}
    for identity, alert in (active | accepted).items():
        if identity not in still:
            events.append(
                event_of(identity, "recovered", at, f"{alert['cause']}: measured again, or retired on purpose")
            )
        elif alert["state"] == "muted" and alert["until"] is not None and alert["until"] <= at:
            events.append(
                event_of(
                    identity, "unmuted", at, f"the mute ended on {alert['until']:%Y-%m-%d}, and it is still absent"
                )
            )
    return events


def _causes(watched: Sequence[Watched]) -> dict[str, list[Watched]]:
    """Cause -> what is absent for it."""
    expected = [one for one in watched if one.state != "retired"]
    absent = [one for one in expected if one.state != "on time"]
    silent = {
        one.host
        for one in absent
        if one.host and all(other.state == "not started" for other in expected if other.host == one.host)
    }
    several = {host for host in silent if len([one for one in absent if one.host == host]) > 1}
    causes: dict[str, list[Watched]] = {}
    for one in absent:
        where = f" on {one.host}" if one.host else ""
        cause = f"host {one.host} runs nothing" if one.host in several else f"{one.suite}{where}: {one.state}"
        causes.setdefault(cause, []).append(one)
    return causes


def _identity(cause: str) -> str:
    return hashlib.sha256(f"absence/{cause}".encode()).hexdigest()[:12]
