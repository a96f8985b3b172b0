"""`assay report`, `assay claim`, `assay dashboard`: what was measured, for other people."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from assay.runner.cli import words
from assay.runner.cli.family import Family, Panel
from assay.runner.cli.options import DB, Db, Json, OfRun, OfSuite, Run, Wide, one_of, published, run_named, write_text
from assay.runner.errors import EnvironmentMissing, ExitCode

family = Family(Panel.READ)


@family.command()
def report(
    run: Run = "latest",
    as_: Annotated[
        words.ReportFormat, typer.Option("--as", **one_of(words.ReportFormat, "--as", say="The format"))
    ] = words.ReportFormat.MD,
    out: Annotated[Path | None, typer.Option("--out", help="Write it here instead of to stdout.")] = None,
    suite: OfSuite = "",
    db: Db = DB,
) -> None:
    """Write what a run measured as a report.

    Every figure with its interval, its n and where it comes from.

    Example: assay report latest --as html --out report.html
    """
    from assay.runner.reports.document import FORMATS
    from assay.runner.reports.facts import gather

    with published(db) as connection:
        text = FORMATS[as_](gather(connection, run_named(connection, run, suite)))
    if out is None:
        print(text, end="")
        return
    write_text(out, text)
    typer.echo(f"wrote {out}", err=True)


@family.command()
def claim(
    sentence: Annotated[str, typer.Argument(help='E.g. "int8 is 1.69x faster than fp32 on context-64".')],
    run: OfRun = "latest",
    suite: OfSuite = "",
    model: Annotated[str | None, typer.Option("--model", help="Only this model.")] = None,
    workload: Annotated[str | None, typer.Option("--workload", help="Only this workload.")] = None,
    db: Db = DB,
    wide: Wide = False,
    json: Json = False,
) -> None:
    """Recompute a stated ratio from what was measured.

    A number holds where the whole measured interval is narrow about it; at least and at most where the interval keeps
    them; as fast as where it lies within 10 % of 1. Exit code 1 where the rows contradict it, 4 where they are not
    enough to tell, or not comparable.

    Example: assay claim "int8 is 1.69x faster than fp32"
    """
    from assay.runner.reports import console
    from assay.runner.reports.claims import check, parse
    from assay.runner.reports.tables import print_table
    from assay.schema.queries import runs as run_queries

    stated = parse(sentence)
    with published(db) as connection:
        run_id = run_named(connection, run, suite)
        checked = check(stated, run_queries.measurements_of(connection, run_id), model, workload)
    documents = [one.as_document() for one in checked]
    if json:
        console.print_json({"run": run_id, "claim": sentence, "checked": documents})
    else:
        print_table(
            documents,
            ["model", "workload", "check", "a", "b", "verdict", "reason", "provenance"],
            f"run {run_id}",
            wide=wide,
        )
    verdicts = {one.verdict for one in checked}
    if "contradicted" in verdicts:
        raise typer.Exit(int(ExitCode.FAILED))
    if verdicts != {"holds"}:
        raise typer.Exit(int(ExitCode.NOTHING))


@family.command()
def dashboard(
    db: Db = DB,
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8501,
    address: Annotated[str, typer.Option(help="Address to listen on; the default is this machine only.")] = "127.0.0.1",
    triage_as: Annotated[
        str,
        typer.Option(
            "--triage-as",
            envvar="ASSAY_TRIAGE_AS",
            help="Without a sign-in: everybody who reaches this address decides about alerts by this name.",
        ),
    ] = "",
) -> None:
    """Start the dashboard on the published snapshots.

    Example: assay dashboard --port 8600
    """
    import importlib.util

    if importlib.util.find_spec("streamlit") is None:
        raise EnvironmentMissing(
            "the dashboard needs the package 'streamlit'. Install it with: pip install 'assay[dashboard]'"
        )
    os.environ["ASSAY_DB"] = str(db.absolute())
    os.environ["ASSAY_TRIAGE_AS"] = triage_as
    command = [sys.executable, "-P", "-m", "assay.dashboard", "--port", str(port), "--address", address]
    os.execv(sys.executable, command)  # noqa: S606  this process becomes the dashboard: no shell, no runner left behind
