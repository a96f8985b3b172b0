"""What people do with an alert: each step is an event with a name and a reason, and none is ever changed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from assay.schema.errors import BadTriage, nearest
from assay.schema.queries.alerts import alert_of, changes_of
from assay.schema.rows.alerts import ACTIVE, AlertEvent, Release
from assay.schema.store import ingest
from assay.schema.store.database import Store, reading, snapshot
from assay.schema.store.spool import new_id, now, write_bundle

ACTIONS = {
    "acknowledge": "acknowledged",
    "assign": "assigned",
    "mute": "muted",
    "expect": "expected",
    "invalid": "invalid",
    "fix": "fixed",
    "reopen": "reopened",
}
"""What a person says -> the event that it is."""


def act(
    store: Store,
    alert: str,
    action: str,
    *,
    actor: str,
    reason: str,
    assignee: str | None = None,
    until: datetime | None = None,
    until_version: str | None = None,
    version: str | None = None,
    run_ids: list[str] | None = None,
    wait_s: float = 30.0,
    at: datetime | None = None,
) -> dict[str, Any]:
    """Record one step in the life of an alert, and publish it; returns the alert as it is then.

    `assign` needs `assignee`; `mute` needs `until` (in the future) or `until_version`; `fix` takes the `version` that
    fixes it; `invalid` takes the runs whose samples are invalid, without them those of the new level.

    Raises:
        BadTriage: no such alert or action, a missing name or reason, or a step that means nothing in its state.
        StoreError: it could not be recorded.
    """
    if action not in ACTIONS:
        raise BadTriage(f"there is no action {action!r}.{nearest(action, ACTIONS)}")
    for name, text in (("name", actor), ("reason", reason)):
        if not text.strip():
            raise BadTriage(f"a {name} is needed: the history of an alert says who decided what, and why.")
    ingest.sync(store, wait_s)
    row, new_level = _found(store, alert)
    moment = at or now()
    _check(row, action, moment, assignee, until, until_version)
    runs = (run_ids or new_level) if action == "invalid" else None
    event = AlertEvent(
        event_id=new_id(),
        alert_id=row["alert_id"],
        action=ACTIONS[action],
        recorded_at=moment,
        actor=actor.strip(),
        reason=reason.strip(),
        assignee=assignee if action == "assign" else None,
        until=until if action == "mute" else None,
        until_version=until_version if action == "mute" else None,
        version=version if action == "fix" else None,
        run_ids=runs,
    )
    write_bundle(store, f"alert-{row['alert_id']}", [event])
    ingest.sync(store, wait_s)
    return _found(store, row["alert_id"])[0]


def _found(store: Store, name: str) -> tuple[dict[str, Any], list[str]]:
    """The alert whose id begins so, and the runs of its new level."""
    published = snapshot(store)
    if published is None:
        raise BadTriage("nothing is recorded yet. Record something: assay run quickstart")
    with reading(published) as connection:
        found = alert_of(connection, name)
        mine = changes_of(connection, found["alert_id"])
        runs = [
            run
            for change in mine
            for (run,) in connection.execute(
                "select distinct run_id from measurement join run using (run_id) where series_id = $series and"
                " started_at >= $start union select distinct v.run_id from verdict v join run r on r.run_id = v.run_id"
                " join case_result c on c.case_id = v.case_id where c.name = $name and r.started_at >= $start",
                {"series": change["series_id"], "start": change["started_at"], "name": change["name"]},
            ).fetchall()
        ]
    return found, sorted(set(runs))


def _check(
    row: dict[str, Any],
    action: str,
    moment: datetime,
    assignee: str | None,
    until: datetime | None,
    until_version: str | None,
) -> None:
    if action == "assign" and not (assignee or "").strip():
        raise BadTriage("to assign an alert, say to whom.")
    if action == "mute" and until is None and not until_version:
        raise BadTriage("a mute ends: say until when, or with which version.")
    if action == "mute" and until is not None and until <= moment:
        raise BadTriage(f"the mute would end on {until:%Y-%m-%d}, which is past.")
    if action == "reopen" and row["state"] in ("open", "acknowledged"):
        raise BadTriage(f"alert {row['alert_id']} is {row['state']} already.")
    if action != "reopen" and row["state"] not in ACTIVE:
        raise BadTriage(f"alert {row['alert_id']} is {row['state']} ({row['reason']}). Reopen it first.")


def release(store: Store, model: str, version: str, *, owner: str, reason: str, wait_s: float = 30.0) -> None:
    """Record that a version of a model was shipped.

    Raises:
        BadTriage: no case of that model and version is recorded, or a name or reason is missing.
    """
    for name, text in (("name", owner), ("reason", reason)):
        if not text.strip():
            raise BadTriage(f"a {name} is needed: a release says who shipped it, and why.")
    ingest.sync(store, wait_s)
    published = snapshot(store)
    known: list[str] = []
    if published is not None:
        with reading(published) as connection:
            sql = "select distinct model_version from case_result where model = $model order by 1"
            known = [version for (version,) in connection.execute(sql, {"model": model}).fetchall()]
    if version not in known:
        raise BadTriage(
            f"no case of {model} {version} is recorded.{nearest(version, known)} Run it first: a release is a baseline."
        )
    event = Release(
        event_id=new_id(), model=model, version=version, owner=owner.strip(), reason=reason.strip(), recorded_at=now()
    )
    write_bundle(store, f"release-{model}", [event])
    ingest.sync(store, wait_s)
