"""What stays away: not started, crashed, uploaded nothing, and retired on purpose are four different things.

One message a cause.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from assay.runner.regressions.alerts.absence import absences
from assay.schema import rows
from assay.schema.queries import alerts as alert_queries
from assay.schema.queries.base import Filters
from assay.schema.queries.schedule import state_of
from assay.schema.store import ingest
from assay.schema.store.database import Store, reading, snapshot
from assay.schema.store.spool import now, write_bundle
from tests.conftest import assay
from tests.examples import a_row, a_run, an_environment

AT = datetime.fromisoformat("2026-11-10T12:00:00")


def expected(**changes: Any) -> dict[str, Any]:
    """Every night, last measured ten hours ago."""
    return {
        "action": "expect",
        "suite": "nightly",
        "host": "gpu-1",
        "model": "",
        "every_h": 24.0,
        "grace_h": 6.0,
        "owner": "mira",
        "reason": "every night",
        "recorded_at": AT - timedelta(days=30),
        "run_id": "r1",
        "started_at": AT - timedelta(hours=10),
        "ended": True,
        "cases": 3,
        "measured_at": AT - timedelta(hours=10),
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "state", "why"),
    [
        ({}, "on time", "measured 2026-11-10 02:00"),
        ({"action": "retire", "reason": "sold"}, "retired", "retired by mira: sold"),
        (
            {"measured_at": AT - timedelta(hours=40), "started_at": AT - timedelta(hours=40)},
            "not started",
            "no run for 40 h",
        ),
        (
            {"measured_at": AT - timedelta(hours=34), "ended": False},
            "crashed",
            "run r1 of 2026-11-10 02:00 never came to its end",
        ),
        ({"measured_at": AT - timedelta(hours=34), "cases": 0}, "uploaded nothing", "ended and measured nothing"),
        (
            {"measured_at": AT - timedelta(hours=34), "ended": False, "started_at": AT - timedelta(hours=1)},
            "on time",
            "is under way",
        ),
        (
            {"measured_at": None, "started_at": None, "run_id": None, "recorded_at": AT - timedelta(hours=2)},
            "on time",
            "not due yet",
        ),
        ({"measured_at": None, "started_at": None, "run_id": None}, "not started", "never measured"),
    ],
)
def test_what_became_of_an_expectation_is_told_apart(changes: dict[str, Any], state: str, why: str):
    found = state_of(expected(**changes), AT)
    assert found.state == state
    assert why in found.why


def test_a_host_that_runs_nothing_is_one_alert_whatever_was_expected_of_it():
    late = AT - timedelta(days=3)
    silent = [expected(suite=suite, measured_at=late, started_at=late) for suite in ("a", "b", "c")]
    (event,) = absences([*silent, expected(host="gpu-2")], [], AT)
    assert (event.action, event.cause_kind, event.cause, event.severity) == (
        "opened",
        "absence",
        "host gpu-1 runs nothing",
        "high",
    )
    assert event.reason.count("no run for 72 h") + event.reason.count("no run for 3 days") == 3


def test_a_suite_that_stays_away_from_a_host_that_works_is_its_own_alert():
    late = AT - timedelta(days=3)
    found = absences([expected(suite="a", measured_at=late, started_at=late), expected(suite="b")], [], AT)
    assert [event.cause for event in found] == ["a on gpu-1: not started"]


def test_an_absence_is_told_once_and_is_over_when_it_is_measured_or_retired():
    late = AT - timedelta(days=3)
    (opened,) = absences([expected(measured_at=late, started_at=late)], [], AT)
    alert = {
        "alert_id": opened.alert_id,
        "cause_kind": "absence",
        "state": "open",
        "cause": opened.cause,
        "until": None,
    }
    assert absences([expected(measured_at=late, started_at=late)], [alert], AT) == []
    assert [event.action for event in absences([expected()], [alert], AT)] == ["recovered"]
    assert [event.action for event in absences([expected(action="retire")], [alert], AT)] == ["recovered"]
    again = absences([expected(measured_at=late, started_at=late)], [{**alert, "state": "recovered"}], AT)
    assert [event.action for event in again] == ["reopened"]
    accepted = {**alert, "state": "expected"}
    assert absences([expected(measured_at=late, started_at=late)], [accepted], AT) == []
    assert [event.action for event in absences([expected()], [accepted], AT)] == ["recovered"]
    muted = {**alert, "state": "muted", "until": AT - timedelta(hours=1)}
    assert [event.action for event in absences([expected(measured_at=late, started_at=late)], [muted], AT)] == [
        "unmuted"
    ]


def test_the_schedule_is_kept_by_commands_and_seen_in_the_books(store: Store):
    db = store.database
    done = assay(
        "schedule",
        "expect",
        "nightly",
        "--host",
        "gpu-1",
        "--every",
        "24",
        "--reason",
        "every night",
        "--by",
        "mira",
        db=db,
    )
    assert (done.code, done.out) == (0, "nightly on gpu-1 is expected every 24 h\n"), done.err
    (row,) = assay("schedule", "list", "--json", db=db).document
    assert (row["state"], row["why"]) == ("on time", "expected, and not due yet")
    began = now() - timedelta(hours=2)
    run = a_run("r1", host="gpu-1", started_at=began)
    write_bundle(
        store,
        "r1",
        [
            a_row(rows.Run, **{**{name: getattr(run, name) for name in run.__slots__}, "suite": "nightly"}),
            an_environment(),
        ],
    )
    write_bundle(store, "r1", [a_row(rows.CaseResult, case_id="c", run_id="r1", status="ok", environment_id="e")])
    ingest.sync(store)
    with reading(snapshot(store)) as connection:
        (row,) = alert_queries.expectations(connection)
    assert (row["run_id"], row["cases"], row["ended"], row["measured_at"]) == ("r1", 1, False, began)
    assert assay("schedule", "retire", "nightly", "--host", "gpu-1", "--reason", "sold", "--by", "jo", db=db).code == 0
    (row,) = assay("schedule", "list", "--json", db=db).document
    assert (row["state"], row["why"]) == ("retired", "retired by jo: sold")
    assert assay("schedule", "expect", "nightly", "--reason", " ", db=db).code == 2


def test_an_absence_in_the_books_is_an_alert_that_people_can_mute(store: Store):
    old = now() - timedelta(days=9)
    write_bundle(
        store,
        "x",
        [
            rows.Expectation(
                event_id="1",
                action="expect",
                suite="nightly",
                host="gpu-1",
                model="",
                every_h=24.0,
                grace_h=6.0,
                owner="mira",
                reason="every night",
                recorded_at=old,
            )
        ],
    )
    ingest.sync(store)
    assert assay("detect", "--record", db=store.database).code == 1
    with reading(snapshot(store)) as connection:
        (alert,) = alert_queries.alerts(connection, Filters())
    assert (alert["cause_kind"], alert["state"], alert["series"]) == ("absence", "open", None)
    assert (
        assay(
            "alerts",
            "mute",
            alert["alert_id"],
            "--until",
            "2099-01-01",
            "--reason",
            "moving",
            "--by",
            "mira",
            db=store.database,
        ).code
        == 0
    )
    assert "absent: nightly on gpu-1: not started" in assay("alerts", "show", alert["alert_id"], db=store.database).out
