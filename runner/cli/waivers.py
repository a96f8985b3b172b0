"""`assay waive`, `assay unwaive`: a known failure, accepted for as long as its premise holds."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from assay.runner.cli import complete
from assay.runner.cli.family import Family, Panel
from assay.runner.cli.options import DB, Db, Json, Wait, store_at
from assay.runner.errors import UsageError

family = Family(Panel.KEEP)


@family.command()
def waive(
    case: Annotated[str, typer.Argument(help="A case by name, or a pattern.", autocompletion=complete.cases)],
    output: Annotated[str, typer.Option("--output", help="The output that may fail.")],
    premise: Annotated[
        str, typer.Option("--premise", help="An invariant: while it holds at every step, the failure is harmless.")
    ],
    owner: Annotated[str, typer.Option("--owner", help="Who answers for it.")],
    reason: Annotated[str, typer.Option("--reason", help="Why the failure is harmless.")],
    until: Annotated[str, typer.Option("--until", help="When it expires: a date, YYYY-MM-DD.")],
    max_abs: Annotated[float | None, typer.Option("--max-abs", min=0, help="The largest error that it covers.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="For a case or an output that is not in the books yet.")
    ] = False,
    db: Db = DB,
    wait: Wait = 30.0,
    json: Json = False,
) -> None:
    """Accept a known failure for as long as its premise holds.

    In the same run, step by step.

    Example: assay waive 'streaming_encoder/*' --output cache_last_time_out --premise 'cache_last_channel_len_out == 0'
    --owner mira --reason 'chunks stand alone, nothing reads it' --until 2027-03-01 --max-abs 0.1
    """
    from assay.runner.books.waivers import grant
    from assay.runner.reports import console

    try:
        expires = datetime.fromisoformat(until).replace(tzinfo=None)
    except ValueError:
        raise UsageError(f"--until is a date such as 2027-03-01, not {until!r}.") from None
    waiver = grant(
        store_at(db),
        case_pattern=case,
        output=output,
        premise=premise,
        owner=owner,
        reason=reason,
        expires_at=expires,
        max_abs=max_abs,
        wait_s=wait,
        force=force,
    )
    if json:
        console.print_json({"waiver": waiver})
    else:
        print(
            f"waiver {waiver}: from the next run on. Take it back with: assay unwaive {waiver} --owner {owner}"
            " --reason ..."
        )


@family.command()
def unwaive(
    waiver: Annotated[str, typer.Argument(help="The waiver's id (assay list waivers).")],
    owner: Annotated[str, typer.Option("--owner", help="Who takes it back.")],
    reason: Annotated[str, typer.Option("--reason", help="Why.")],
    db: Db = DB,
    wait: Wait = 30.0,
    json: Json = False,
) -> None:
    """Take a waiver back.

    From the next run on the failure is a failure again.

    Example: assay unwaive 1f0c2a9b7d3e --owner mira --reason 'the export is fixed'
    """
    from assay.runner.books.waivers import revoke
    from assay.runner.reports import console

    revoke(store_at(db), waiver, owner=owner, reason=reason, wait_s=wait)
    if json:
        console.print_json({"waiver": waiver, "revoked": True})
    else:
        print(f"waiver {waiver} is revoked")
