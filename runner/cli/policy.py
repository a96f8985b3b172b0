"""`assay policy`: what is recorded, judged by other rules."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from assay.runner.cli.family import Family, Panel
from assay.runner.cli.options import DB, CasePattern, Db, Json, Wait, Wide, published, store_at
from assay.runner.errors import ExitCode

family = Family(Panel.KEEP, name="policy", help="Judge what is recorded by other rules.")


@family.command()
def show(
    policy: Annotated[str, typer.Argument(help="A policy file, or the name of a policy that ships.")],
    wide: Wide = False,
    json: Json = False,
) -> None:
    """Say what a policy asks.

    Of every output, of each that has an entry of its own, and of measurements.

    Example: assay policy show int8
    """
    from assay.runner.reports import console
    from assay.runner.reports.tables import print_table
    from assay.runner.rules.policies import find_policy

    name, found = find_policy(policy)
    rows = [{"of": of, "asks": asks} for of, asks in found.asks()]
    if json:
        console.print_json({"policy": name, "asks": rows})
    else:
        print_table(rows, ["of", "asks"], name, wide=wide)


@family.command(name="try")
def try_(
    policy: Annotated[str, typer.Argument(help="A policy file, or the name of a policy that ships.")],
    case: CasePattern = None,
    db: Db = DB,
    wide: Wide = False,
    json: Json = False,
) -> None:
    """List which verdicts a policy would change; writes nothing.

    Everything that is recorded is judged by it.

    Example: assay policy try streaming-guidance --case 'streaming_encoder*'
    """
    _judge_again(policy, case, db, wide=wide, json=json, write=False, wait=0.0)


@family.command()
def apply(
    policy: Annotated[str, typer.Argument(help="A policy file, or the name of a policy that ships.")],
    case: CasePattern = None,
    db: Db = DB,
    wait: Wait = 30.0,
    wide: Wide = False,
    json: Json = False,
) -> None:
    """Judge everything that is recorded by a policy.

    The verdicts that change are recorded; the old ones are kept.

    Example: assay policy apply my.policy.toml --case 'streaming_encoder*'
    """
    _judge_again(policy, case, db, wide=wide, json=json, write=True, wait=wait)


def _judge_again(policy: str, case: str | None, db: Path, *, wide: bool, json: bool, write: bool, wait: float) -> None:
    from assay.runner.books.policies import apply_policy, judged_again
    from assay.runner.reports import console
    from assay.runner.reports.tables import print_table
    from assay.runner.rules.policies import find_policy
    from assay.runner.run.execute import waivers_of
    from assay.schema.store import ingest

    name, found = find_policy(policy)
    store = store_at(db)
    if write:
        ingest.sync(store, wait)  # what waits in the spool is judged too
    with published(db) as connection:
        judged = list(judged_again(connection, found, case, waivers_of(store)))
    changed = [one for one in judged if one.changes]
    if write and changed:
        apply_policy(store, name, found, judged)
        ingest.sync(store, wait)
    if json:
        console.print_json(
            {
                "policy": name,
                "judged": len(judged),
                "changed": [one.as_row() for one in changed],
                "written": len(changed) if write else 0,
            }
        )
    else:
        rows = [one.as_row() for one in changed]
        print_table(
            rows,
            ["run", "case", "version", "output", "was", "becomes", "reason"],
            f"{name}: {len(changed)} of {len(judged)} verdicts {'changed' if write else 'would change'}",
            wide=wide,
        )
    if not judged:
        raise typer.Exit(int(ExitCode.NOTHING))
