"""`assay schedule`, `assay release`: what has to be measured how often, and what was shipped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from assay.runner.cli.family import Family, Panel
from assay.runner.cli.options import DB, By, Db, Json, Reason, RecordedSuite, Wait, Wide, published, store_at, user
from assay.runner.errors import UsageError

family = Family(Panel.NIGHTS)
schedule = Family(Panel.NIGHTS, name="schedule", help="Say what is measured how often, and what was retired.")
schedule.join(family)

Host = Annotated[str, typer.Option("--host", help="On this host; any without.")]
Model = Annotated[str, typer.Option("--model", help="Of this model; any without.")]


@schedule.command(name="expect")
def schedule_expect(
    suite: RecordedSuite,
    reason: Reason,
    host: Host = "",
    model: Model = "",
    every: Annotated[float, typer.Option("--every", min=0.01, help="Hours between runs.")] = 24.0,
    grace: Annotated[float, typer.Option("--grace", min=0, help="Hours that one may be late.")] = 6.0,
    by: By = "",
    db: Db = DB,
    wait: Wait = 30.0,
    json: Json = False,
) -> None:
    """Expect a suite to be measured: what stays away is an alert.

    Example: assay schedule expect nightly --host gpu-1 --reason 'every night at two'
    """
    _schedule(db, "expect", suite, host, model, every, grace, user(by), reason, wait, json=json)


@schedule.command()
def retire(
    suite: RecordedSuite,
    reason: Reason,
    host: Host = "",
    model: Model = "",
    by: By = "",
    db: Db = DB,
    wait: Wait = 30.0,
    json: Json = False,
) -> None:
    """Stop expecting it, on purpose.

    It is silent from now on, and says why.

    Example: assay schedule retire nightly --host gpu-1 --reason 'sold'
    """
    _schedule(db, "retire", suite, host, model, 0.0, 0.0, user(by), reason, wait, json=json)


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


@schedule.command(name="list")
def schedule_list(db: Db = DB, wide: Wide = False, json: Json = False) -> None:
    """List what is expected, and what became of it.

    On time, not started, crashed, uploaded nothing, retired.

    Example: assay schedule list
    """
    from dataclasses import asdict

    from assay.runner.reports import console
    from assay.runner.reports.tables import print_table
    from assay.schema.queries.alerts import expectations
    from assay.schema.queries.schedule import state_of
    from assay.schema.store.spool import now

    with published(db) as connection:
        found = [asdict(state_of(row, now())) for row in expectations(connection)]
    if json:
        console.print_json(found)
    else:
        print_table(found, ["suite", "host", "model", "state", "why"], f"{len(found)} expected or retired", wide=wide)


@family.command()
def release(
    what: Annotated[str, typer.Argument(help="MODEL=VERSION: a version that has been measured.")],
    reason: Reason,
    by: By = "",
    db: Db = DB,
    wait: Wait = 30.0,
    json: Json = False,
) -> None:
    """Record that a version was shipped.

    Drift and the gate are held against it (`assay gate --against release`).

    Example: assay release digits=v2 --reason 'shipped with 1.4'
    """
    from assay.runner.reports import console
    from assay.schema import triage

    model, equals, version = what.partition("=")
    if not (model and equals and version):
        raise UsageError(f"a release is MODEL=VERSION, not {what!r}.")
    triage.release(store_at(db), model, version, owner=user(by), reason=reason, wait_s=wait)
    if json:
        console.print_json({"model": model, "version": version})
    else:
        print(f"{model} {version} is a release")
