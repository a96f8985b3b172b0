"""`assay alerts`, `assay schedule`, `assay release`.

What people do with what the nightly job found, what has to be measured, and what was shipped.
"""

from __future__ import annotations

import getpass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from assay.runner.cli.options import DB_DEFAULT, Db, Json, Wait, published, store_at
from assay.runner.errors import UsageError

alerts_app = typer.Typer(help="See what moved, and decide what becomes of it.", no_args_is_help=True)
schedule_app = typer.Typer(
    help="Say what has to be measured how often, and what was retired on purpose.", no_args_is_help=True
)

Alert = Annotated[str, typer.Argument(help="An alert's id, or the beginning of it (assay alerts list).")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it stays in the history.")]
By = Annotated[str, typer.Option("--by", help="Who decides; your user name without.")]


def _me(name: str) -> str:
    try:
        return name or getpass.getuser()
    except (OSError, KeyError):
        raise UsageError("--by is needed: this user has no name.") from None


@alerts_app.command(name="list")
def list_(
    all_: Annotated[bool, typer.Option("--all", help="Those that are over too.")] = False,
    suite: Annotated[str, typer.Option("--suite", help="Of this suite alone.")] = "",
    model: Annotated[
        list[str] | None, typer.Option("--model", help="Of this model alone; can be given more than once.")
    ] = None,
    db: Db = Path(DB_DEFAULT),
    json: Json = False,
) -> None:
    """List alerts: those that wait for somebody first, the gravest first.

    Example: assay alerts list --suite nightly
    """
    from assay.runner.reports import console
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
    console.print_table(
        lines, ["alert", "state", "severity", "since", "series", "what", "assigned"], f"{len(shown)} alerts{over}"
    )


@alerts_app.command()
def show(alert: Alert, db: Db = Path(DB_DEFAULT), json: Json = False) -> None:
    """Show one alert: what moved, the suspects, what speaks for it, and what was decided.

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
    _print(document)


def _print(document: dict[str, Any]) -> None:
    from assay.runner.reports import console

    row = document["alert"]
    print(f"{row['alert_id']}  {row['severity']}, {row['state']}: {row['title']}")
    if row["assignee"]:
        print(f"assigned to {row['assignee']}")
    for name, (old, new) in document["environment"].items():
        print(f"{name} differs: {old} -> {new}")
    console.print_table(
        document["changes"],
        ["name", "metric", "kind", "message", "version_before", "version", "q_value", "run_id"],
        "what moved",
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
            console.print_table(document[key], columns, title)


def _act(db: Path, alert: str, action: str, by: str, reason: str, wait: float, *, json: bool, **more: Any) -> None:
    from assay.runner.reports import console
    from assay.schema.triage import act

    row = act(store_at(db), alert, action, actor=_me(by), reason=reason, wait_s=wait, **more)
    if json:
        console.print_json(row)
    else:
        print(
            f"alert {row['alert_id']} is {row['state']}"
            + (f", assigned to {row['assignee']}" if row["assignee"] else "")
        )


@alerts_app.command()
def ack(
    alert: Alert, reason: Reason, by: By = "", db: Db = Path(DB_DEFAULT), wait: Wait = 30.0, json: Json = False
) -> None:
    """Acknowledge an alert: somebody has seen it and is at it.

    Example: assay alerts ack 4093f9 --reason 'looking at the new kernel'
    """
    _act(db, alert, "acknowledge", by, reason, wait, json=json)


@alerts_app.command()
def assign(
    alert: Alert,
    to: Annotated[str, typer.Option("--to", help="Who takes it.")],
    reason: Reason,
    by: By = "",
    db: Db = Path(DB_DEFAULT),
    wait: Wait = 30.0,
    json: Json = False,
) -> None:
    """Assign an alert to somebody.

    Example: assay alerts assign 4093f9 --to mira --reason 'her quantizer'
    """
    _act(db, alert, "assign", by, reason, wait, json=json, assignee=to)


@alerts_app.command()
def mute(
    alert: Alert,
    reason: Reason,
    until: Annotated[str, typer.Option("--until", help="A date, YYYY-MM-DD, UTC.")] = "",
    until_version: Annotated[
        str, typer.Option("--until-version", help="Until this version of the model has run.")
    ] = "",
    by: By = "",
    db: Db = Path(DB_DEFAULT),
    wait: Wait = 30.0,
    json: Json = False,
) -> None:
    """Mute an alert until a day, or until a version has run; if it is still there then, it is open again.

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


@alerts_app.command()
def expect(
    alert: Alert, reason: Reason, by: By = "", db: Db = Path(DB_DEFAULT), wait: Wait = 30.0, json: Json = False
) -> None:
    """Accept the new level: it is the baseline from now on, with your name, reason and date.

    Example: assay alerts expect 4093f9 --reason 'twice the channels, agreed'
    """
    _act(db, alert, "expect", by, reason, wait, json=json)


@alerts_app.command()
def invalid(
    alert: Alert,
    reason: Reason,
    run: Annotated[
        list[str] | None,
        typer.Option("--run", help="A run whose samples are invalid; all of the new level without. Repeatable."),
    ] = None,
    by: By = "",
    db: Db = Path(DB_DEFAULT),
    wait: Wait = 30.0,
    json: Json = False,
) -> None:
    """Call the samples invalid: no series counts them any more. They stay in the books.

    Example: assay alerts invalid 4093f9 --reason 'somebody trained on that GPU'
    """
    _act(db, alert, "invalid", by, reason, wait, json=json, run_ids=run)


@alerts_app.command()
def fix(
    alert: Alert,
    reason: Reason,
    version: Annotated[str, typer.Option("--in", help="The version or commit that fixes it.")] = "",
    by: By = "",
    db: Db = Path(DB_DEFAULT),
    wait: Wait = 30.0,
    json: Json = False,
) -> None:
    """Say that an alert is fixed, and by what; it is opened again if it comes back.

    Example: assay alerts fix 4093f9 --in v8 --reason 'the old layout is back'
    """
    _act(db, alert, "fix", by, reason, wait, json=json, version=version or None)


@alerts_app.command()
def reopen(
    alert: Alert, reason: Reason, by: By = "", db: Db = Path(DB_DEFAULT), wait: Wait = 30.0, json: Json = False
) -> None:
    """Open an alert again that was muted or over.

    Example: assay alerts reopen 4093f9 --reason 'v8 did not fix it'
    """
    _act(db, alert, "reopen", by, reason, wait, json=json)


Host = Annotated[str, typer.Option("--host", help="On this host; any without.")]
Model = Annotated[str, typer.Option("--model", help="Of this model; any without.")]
Suite = Annotated[str, typer.Argument(help="The suite's name.")]


@schedule_app.command(name="expect")
def schedule_expect(
    suite: Suite,
    reason: Reason,
    host: Host = "",
    model: Model = "",
    every: Annotated[float, typer.Option("--every", min=0.01, help="Hours between runs.")] = 24.0,
    grace: Annotated[float, typer.Option("--grace", min=0, help="Hours that one may be late.")] = 6.0,
    by: By = "",
    db: Db = Path(DB_DEFAULT),
    wait: Wait = 30.0,
    json: Json = False,
) -> None:
    """Expect a suite to be measured: what stays away is an alert.

    Example: assay schedule expect nightly --host gpu-1 --reason 'every night at two'
    """
    _schedule(db, "expect", suite, host, model, every, grace, _me(by), reason, wait, json=json)


@schedule_app.command()
def retire(
    suite: Suite,
    reason: Reason,
    host: Host = "",
    model: Model = "",
    by: By = "",
    db: Db = Path(DB_DEFAULT),
    wait: Wait = 30.0,
    json: Json = False,
) -> None:
    """Stop expecting it, on purpose: it is silent from now on, and says why.

    Example: assay schedule retire nightly --host gpu-1 --reason 'sold'
    """
    _schedule(db, "retire", suite, host, model, 0.0, 0.0, _me(by), reason, wait, json=json)


def _schedule(
    db: Path,
    action: str,
    suite: str,
    host: str,
    model: str,
    every_h: float,
    grace_h: float,
    owner: str,
    reason: str,
    wait: float,
    *,
    json: bool,
) -> None:
    from assay.runner.reports import console
    from assay.schema.rows.alerts import Expectation
    from assay.schema.store import ingest
    from assay.schema.store.spool import new_id, now, write_bundle

    if not reason.strip():
        raise UsageError("--reason is empty: a schedule says why.")
    row = Expectation(
        event_id=new_id(),
        action=action,
        suite=suite,
        host=host,
        model=model,
        every_h=every_h,
        grace_h=grace_h,
        owner=owner,
        reason=reason,
        recorded_at=now(),
    )
    write_bundle(store_at(db), f"schedule-{suite}", [row])
    ingest.sync(store_at(db), wait)
    where = f" on {host}" if host else ""
    told = f"{suite}{where} is expected every {every_h:g} h" if action == "expect" else f"{suite}{where} is retired"
    if json:
        console.print_json({"suite": suite, "host": host, "model": model, "action": action})
    else:
        print(told)


@schedule_app.command(name="list")
def schedule_list(db: Db = Path(DB_DEFAULT), json: Json = False) -> None:
    """List what is expected, and what became of it: on time, not started, crashed, uploaded nothing, retired.

    Example: assay schedule list
    """
    from dataclasses import asdict

    from assay.runner.reports import console
    from assay.schema.queries.alerts import expectations
    from assay.schema.queries.schedule import state_of
    from assay.schema.store.spool import now

    with published(db) as connection:
        found = [asdict(state_of(row, now())) for row in expectations(connection)]
    if json:
        console.print_json(found)
    else:
        console.print_table(found, ["suite", "host", "model", "state", "why"], f"{len(found)} expected or retired")


def release(
    what: Annotated[str, typer.Argument(help="MODEL=VERSION: a version that has been measured.")],
    reason: Reason,
    by: By = "",
    db: Db = Path(DB_DEFAULT),
    wait: Wait = 30.0,
    json: Json = False,
) -> None:
    """Record that a version was shipped: drift and the gate are held against it (`assay gate --against release`).

    Example: assay release digits=v2 --reason 'shipped with 1.4'
    """
    from assay.runner.reports import console
    from assay.schema import triage

    model, equals, version = what.partition("=")
    if not (model and equals and version):
        raise UsageError(f"a release is MODEL=VERSION, not {what!r}.")
    triage.release(store_at(db), model, version, owner=_me(by), reason=reason, wait_s=wait)
    if json:
        console.print_json({"model": model, "version": version})
    else:
        print(f"{model} {version} is a release")
