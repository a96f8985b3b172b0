"""`assay alerts`: what people do with what the nightly job found."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from assay.runner.cli import complete
from assay.runner.cli.family import Family, Panel
from assay.runner.cli.options import (
    DB,
    Alert,
    By,
    Db,
    Json,
    OfModels,
    OfSuite,
    Reason,
    Wait,
    Wide,
    published,
    several,
    store_at,
    user,
)
from assay.runner.errors import UsageError

family = Family(Panel.NIGHTS, name="alerts", help="See what moved, and decide what becomes of it.")


@family.command(name="list")
def list_(
    all_: Annotated[bool, typer.Option("--all", help="Those that are over too.")] = False,
    suite: OfSuite = "",
    model: OfModels = None,
    db: Db = DB,
    wide: Wide = False,
    json: Json = False,
) -> None:
    """List alerts, those that wait for somebody first.

    Among those the gravest first.

    Example: assay alerts list --suite nightly
    """
    from assay.runner.reports import console
    from assay.runner.reports.tables import print_table
    from assay.schema.queries import alerts as alert_queries
    from assay.schema.queries.base import Filters
    from assay.schema.rows.alerts import ACTIVE

    with published(db) as connection:
        found = alert_queries.alerts(connection, Filters(suite=suite, models=tuple(model or ())))
    shown = [row for row in found if all_ or row["state"] in ACTIVE]
    if json:
        console.print_json(shown)
        return
    lines = [
        {
            "alert": row["alert_id"],
            "state": row["state"],
            "severity": row["severity"],
            "since": f"{row['began_at'] or row['opened_at']:%Y-%m-%d}",
            "series": row["series"] or 0,
            "what": row["title"],
            "assigned": row["assignee"] or "-",
        }
        for row in shown
    ]
    over = "" if all_ or len(shown) == len(found) else f"; {len(found) - len(shown)} are over (--all)"
    print_table(
        lines,
        ["alert", "state", "severity", "since", "series", "what", "assigned"],
        f"{len(shown)} alerts{over}",
        wide=wide,
    )


@family.command()
def show(alert: Alert, db: Db = DB, wide: Wide = False, json: Json = False) -> None:
    """Show one alert: what moved, the suspects, the evidence.

    And what was decided.

    Example: assay alerts show 4093f9
    """
    from assay.runner.reports import console
    from assay.schema.queries import alerts as alert_queries
    from assay.schema.queries import evidence as evidence_queries
    from assay.schema.queries.comparison import differing_environment

    with published(db) as connection:
        row = alert_queries.alert_of(connection, alert)
        pair = evidence_queries.pair_of(connection, row["alert_id"])
        document: dict[str, Any] = {
            "alert": row,
            "changes": alert_queries.changes_of(connection, row["alert_id"]),
            "events": alert_queries.alert_events(connection, row["alert_id"]),
            "confirmations": alert_queries.confirmations_of(connection, row["alert_id"]),
            "moved_beside": evidence_queries.moved_beside(connection, row["alert_id"]),
            "environment": differing_environment(connection, *pair) if pair else {},
            "first_divergence": evidence_queries.first_divergence(connection, row["alert_id"]),
            "ledger": evidence_queries.ledger_difference(connection, row["alert_id"]),
            "layers": evidence_queries.layer_difference(connection, row["alert_id"]),
        }
    if json:
        console.print_json(document)
        return
    _print(document, wide=wide)


def _print(document: dict[str, Any], *, wide: bool) -> None:
    from assay.runner.reports.tables import print_table

    row = document["alert"]
    print(f"{row['alert_id']}  {row['severity']}, {row['state']}: {row['title']}")
    if row["assignee"]:
        print(f"assigned to {row['assignee']}")
    for name, (old, new) in document["environment"].items():
        print(f"{name} differs: {old} -> {new}")
    print_table(
        document["changes"],
        ["name", "metric", "kind", "message", "version_before", "version", "q_value", "run_id"],
        "what moved",
        wide=wide,
    )
    for key, columns, title in (
        ("moved_beside", ["name", "metric", "direction", "message", "alert_id"], "what else moved"),
        ("first_divergence", ["name", "op_type", "node", "layer", "local_rel_l2", "hint"], "first divergence"),
        (
            "ledger",
            ["variant", "name", "op_type", "kind", "before_db", "after_db", "drop_db"],
            "tensors that lost most",
        ),
        (
            "layers",
            ["variant", "workload", "name", "op_type", "before_us", "after_us", "lost_us"],
            "operators that got slower",
        ),
        ("confirmations", ["recorded_at", "name", "metric", "outcome", "ratio", "low", "high", "reason"], "re-runs"),
        ("events", ["recorded_at", "action", "actor", "reason"], "history"),
    ):
        if document[key]:
            print_table(document[key], columns, title, wide=wide)


def _act(db: Path, alert: str, action: str, by: str, reason: str, wait: float, *, json: bool, **more: Any) -> None:
    from assay.runner.reports import console
    from assay.schema.triage import act

    row = act(store_at(db), alert, action, actor=user(by), reason=reason, wait_s=wait, **more)
    if json:
        console.print_json(row)
    else:
        print(
            f"alert {row['alert_id']} is {row['state']}"
            + (f", assigned to {row['assignee']}" if row["assignee"] else "")
        )


@family.command()
def ack(alert: Alert, reason: Reason, by: By = "", db: Db = DB, wait: Wait = 30.0, json: Json = False) -> None:
    """Acknowledge an alert: somebody has seen it and is at it.

    Example: assay alerts ack 4093f9 --reason 'looking at the new kernel'
    """
    _act(db, alert, "acknowledge", by, reason, wait, json=json)


@family.command()
def assign(
    alert: Alert,
    to: Annotated[str, typer.Option("--to", help="Who takes it.")],
    reason: Reason,
    by: By = "",
    db: Db = DB,
    wait: Wait = 30.0,
    json: Json = False,
) -> None:
    """Assign an alert to somebody.

    Example: assay alerts assign 4093f9 --to mira --reason 'her quantizer'
    """
    _act(db, alert, "assign", by, reason, wait, json=json, assignee=to)


@family.command()
def mute(
    alert: Alert,
    reason: Reason,
    until: Annotated[str, typer.Option("--until", help="A date, YYYY-MM-DD, UTC.")] = "",
    until_version: Annotated[
        str, typer.Option("--until-version", help="Until this version of the model has run.")
    ] = "",
    by: By = "",
    db: Db = DB,
    wait: Wait = 30.0,
    json: Json = False,
) -> None:
    """Mute an alert until a day, or until a version has run.

    If it is still there then, it is open again.

    Example: assay alerts mute 4093f9 --until 2027-01-15 --reason 'driver update is planned'
    """
    _act(
        db,
        alert,
        "mute",
        by,
        reason,
        wait,
        json=json,
        until=_day(until) if until else None,
        until_version=until_version or None,
    )


def _day(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        raise UsageError(f"--until is a date such as 2027-03-01, not {text!r}.") from None


@family.command()
def expect(alert: Alert, reason: Reason, by: By = "", db: Db = DB, wait: Wait = 30.0, json: Json = False) -> None:
    """Accept the new level: it is the baseline from now on.

    With your name, reason and date.

    Example: assay alerts expect 4093f9 --reason 'twice the channels, agreed'
    """
    _act(db, alert, "expect", by, reason, wait, json=json)


@family.command()
def invalid(
    alert: Alert,
    reason: Reason,
    run: Annotated[
        list[str] | None,
        several("--run", "A run whose samples are invalid; all of the new level without", complete.runs),
    ] = None,
    by: By = "",
    db: Db = DB,
    wait: Wait = 30.0,
    json: Json = False,
) -> None:
    """Call the samples invalid: no series counts them any more.

    They stay in the books.

    Example: assay alerts invalid 4093f9 --reason 'somebody trained on that GPU'
    """
    _act(db, alert, "invalid", by, reason, wait, json=json, run_ids=run)


@family.command()
def fix(
    alert: Alert,
    reason: Reason,
    version: Annotated[str, typer.Option("--in", help="The version or commit that fixes it.")] = "",
    by: By = "",
    db: Db = DB,
    wait: Wait = 30.0,
    json: Json = False,
) -> None:
    """Say that an alert is fixed, and by what.

    It is opened again if it comes back.

    Example: assay alerts fix 4093f9 --in v8 --reason 'the old layout is back'
    """
    _act(db, alert, "fix", by, reason, wait, json=json, version=version or None)


@family.command()
def reopen(alert: Alert, reason: Reason, by: By = "", db: Db = DB, wait: Wait = 30.0, json: Json = False) -> None:
    """Open an alert again that was muted or over.

    Example: assay alerts reopen 4093f9 --reason 'v8 did not fix it'
    """
    _act(db, alert, "reopen", by, reason, wait, json=json)
