"""`assay doctor`: what this host can run; of a run, why accuracy fell, why it is not faster, why it differs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from assay.runner.cli.options import DB_DEFAULT, Db, Json, published, store_at
from assay.runner.errors import ExitCode, UsageError


def doctor(
    run: Annotated[
        str | None,
        typer.Argument(help="A run: id or prefix, latest, latest~1, version:X, branch:X. Without one: this host."),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option("--against", help="The run to compare with; the one before it of its suite if left out."),
    ] = None,
    db: Db = Path(DB_DEFAULT),
    json: Json = False,
) -> None:
    """Say what this host can run and what is missing.

    Or, of a run: why accuracy fell, why it is not faster, why it differs from another run.

    Example: assay doctor latest
    """
    if run is None:
        if against is not None:
            raise UsageError(
                "--against compares two runs: name the first one too, e.g. assay doctor latest --against latest~1."
            )
        _host(db, json)
    else:
        _run(run, against, db, json)


def _host(db: Path, json: bool) -> None:
    from assay.runner.cli import catalogue
    from assay.runner.reports import console

    findings = catalogue.doctor(store_at(db))
    if json:
        console.print_json(findings)
    else:
        console.print_table(findings, ["what", "state", "detail"])
    raise typer.Exit(int(ExitCode.ENVIRONMENT if any(f["state"] == "broken" for f in findings) else ExitCode.OK))


def _run(run: str, against: str | None, db: Path, json: bool) -> None:
    from assay.runner.reports import console
    from assay.runner.reports.doctor import consult
    from assay.schema.queries import runs as run_queries
    from assay.schema.queries.comparison import resolve

    with published(db) as connection:
        run_id = resolve(connection, run)
        before = resolve(connection, against) if against else run_queries.run_before(connection, run_id)
        found = consult.of_run(connection, run_id)
        if before is not None and before != run_id:
            found += consult.against(connection, run_id, before)
    if json:
        console.print_json({"run": run_id, "against": before, "diagnoses": [asdict(one) for one in found]})
        return
    console.print_table(
        [asdict(one) for one in found], ["problem", "subject", "because", "evidence", "remedy"], f"run {run_id}"
    )
    if not found:
        compared = (
            f", and it answers as {before} does" if before else "; there is no earlier run of its suite to compare with"
        )
        print(f"nothing to diagnose: no quantized variant lost more than 2 % or is slower than float{compared}")
