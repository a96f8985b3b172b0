"""`assay compare`, `assay gate`: two runs held against each other."""

from __future__ import annotations

import getpass
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from assay.runner.cli import complete, words
from assay.runner.cli.family import Family, Panel
from assay.runner.cli.options import (
    DB,
    Db,
    Json,
    OfRun,
    OfSuite,
    Run,
    Wait,
    Wide,
    one_of,
    published,
    run_named,
    store_at,
    write_text,
)
from assay.runner.errors import ExitCode, UsageError

family = Family(Panel.READ)

_COLUMNS = ("case", "name", "A", "B", "B/A", "differs", "outcome")
_INTERVALS = ("A from, to", "B from, to")


@family.command()
def compare(
    a: Run,
    b: Run = "latest",
    db: Db = DB,
    force: Annotated[
        bool, typer.Option("--force", help="Give ratios of unlike things too; recorded, with --reason.")
    ] = False,
    reason: Annotated[str, typer.Option(help="With --force: why unlike things are compared.")] = "",
    suite: OfSuite = "",
    owner: Annotated[str, typer.Option(help="With --force: who asks; this user if left out.")] = "",
    wait: Wait = 30.0,
    wide: Wide = False,
    json: Json = False,
) -> None:
    """Compare two runs: speed, size and parity; unlike things named.

    A is the run to compare from, B the one to compare to.

    Example: assay compare latest~1 latest
    """
    from assay.runner.books.overrides import record_override
    from assay.runner.reports import console
    from assay.runner.reports.tables import print_table
    from assay.schema.queries.comparison import compare_runs, resolve_pair

    if force and not reason.strip():
        raise UsageError("--force compares unlike things, and that is recorded: say why with --reason.")
    with published(db) as connection:
        first, second = resolve_pair(connection, a, run_named(connection, b, suite), suite)
        compared = compare_runs(connection, first, second, force=force)
    if force and compared.unlike:
        record_override(store_at(db), compared, owner=owner or getpass.getuser(), reason=reason, wait_s=wait)
    if json:
        console.print_json(compared.as_document())
        return
    print(f"A {compared.a}\nB {compared.b}")
    for name, (left, right) in compared.environment.items():
        print(f"differs: {name}: {left} -> {right}")
    for side, parts in compared.not_recorded.items():
        print(f"not recorded in {side.upper()}: {', '.join(parts)}")
    for row in compared.overrides:
        print(f"override of {row['recorded_at']:%Y-%m-%d} by {row['owner']}: {row['reason']}")
    document = compared.as_document()
    print_table(
        [_line(line) for line in document["measurements"]],
        (*_COLUMNS, *(_INTERVALS if wide else ())),
        "speed and size",
        wide=wide,
    )
    receipts = [{**line, "A": line["a"], "B": line["b"]} for line in document["parity"]]
    print_table(receipts, ["case", "name", "A", "B", "outcome", "differs"], "parity", wide=wide)
    if not any(line.ratio or line.outcome.startswith("both") for line in [*compared.speed, *compared.parity]):
        raise typer.Exit(int(ExitCode.NOTHING))


def _line(line: dict[str, Any]) -> dict[str, Any]:
    """One figure of both runs, with its unit."""
    from assay.runner.reports.console import interval, measured

    a, b = (
        {"value": "", "interval": ""}
        if line[side] is None
        else measured(line[side], line[f"{side}_low"], line[f"{side}_high"], line["unit"])
        for side in ("a", "b")
    )
    return {
        **line,
        "A": a["value"],
        "B": b["value"],
        "B/A": interval(line["ratio"], line["ratio_low"], line["ratio_high"]),
        "A from, to": a["interval"],
        "B from, to": b["interval"],
    }


@family.command()
def gate(
    suite: OfSuite,
    against: Annotated[
        str,
        typer.Option(
            "--against",
            help="The baseline: a run's id, latest~1, version:X, branch:X, release, of this suite.",
            autocompletion=complete.runs,
        ),
    ] = "latest~1",
    run: OfRun = "latest",
    as_: Annotated[
        words.GateFormat, typer.Option("--as", **one_of(words.GateFormat, "--as", say="md for a pull request"))
    ] = words.GateFormat.TABLE,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="What the run never exercised (see a suite's `coverage`) stops it too.")
    ] = False,
    wide: Wide = False,
    out: Annotated[Path | None, typer.Option("--out", help="Write it to this file.")] = None,
    db: Db = DB,
) -> None:
    """Hold a run against a baseline, for CI.

    Exit code 1 where something regressed, 4 where nothing could be told, 2 where the two are not alike.

    Regressed: a figure beyond what two runs differ by anyway (its whole interval), a verdict that got worse, a case
    that broke, compares nothing
    any more, or is gone. What there is not enough evidence for is listed, and stops nobody.

    Example: assay gate --suite quickstart --against branch:main --as junit --out gate.xml
    """
    from assay.runner.reports.gate import REGRESSED, UNKNOWN, as_junit, as_markdown, judge
    from assay.runner.reports.tables import print_table, shortened
    from assay.runner.rules.coverage import COVERAGE, kinds_of
    from assay.schema import documents
    from assay.schema.queries import parity as parity_queries
    from assay.schema.queries import runs as run_queries
    from assay.schema.queries.comparison import compare_runs, resolve

    with published(db) as connection:
        before, after = resolve(connection, against, suite), resolve(connection, run, suite)
        if before == after:
            raise UsageError(f"--against names the run itself ({after}): a run is no baseline of its own.")
        compared = compare_runs(connection, before, after)
        asked = kinds_of(COVERAGE) if coverage else frozenset()
        notes = [row for row in parity_queries.findings_of(connection, after) if row["kind"] in asked]
        cases = [run_queries.cases_of(connection, one) for one in (before, after)]
        found = judge(compared, cases[0], cases[1], notes)
    told = {
        "run": after,
        "against": before,
        "exit_code": int(found.exit_code),
        "checks": [asdict(check) for check in found.checks],
    }
    text = (
        {"md": as_markdown, "junit": as_junit}[as_](found)
        if as_ in ("md", "junit")
        else documents.strict(documents.document(told), indent=1)
    )
    if out is not None:
        write_text(out, text)
    elif as_ != "table":
        print(text, end="" if text.endswith("\n") else "\n")
    else:
        names = shortened([after, before])
        shown = [asdict(check) for check in (*found.of(REGRESSED), *found.of(UNKNOWN))]
        print_table(
            shown,
            ["case", "what", "outcome", "message"],
            f"{names[0]} against {names[1]}: {len(found.of(REGRESSED))} regressed of {len(found.checks)}",
            wide=wide,
        )
    raise typer.Exit(int(found.exit_code))
