"""`assay show`, `assay list`: one run, and what there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.runner.cli import words
from assay.runner.cli.family import Family, Panel
from assay.runner.cli.options import DB, Db, Json, OfSuite, Run, Wide, one_of, published, run_named, store_at

if TYPE_CHECKING:
    import duckdb

family = Family(Panel.READ)

_COLUMNS: dict[words.Topic, tuple[str, ...]] = {
    words.Topic.CASES: (*("name", "model_version", "status", "placement", "precision", "duration_s", "why"),),
    words.Topic.VERDICTS: (
        *("case_name", "subject", "name", "outcome", "grade", "observed", "limit_value", "margin", "reason"),
    ),
    words.Topic.RECEIPTS: (
        *("name", "output", "outcome", "max_abs", "sqnr_db", "cosine", "elements", "violations", "reason"),
    ),
    words.Topic.MEASUREMENTS: ("name", "metric", "value", "interval", "n", "provenance"),
    words.Topic.FINDINGS: ("name", "severity", "kind", "subject", "message"),
    words.Topic.INVARIANTS: ("case_name", "kind", "expression", "side", "checked", "broken", "observed"),
    words.Topic.NOISE: ("name", "output", "source", "atol", "rtol", "n", "problem"),
}


@family.command()
def show(
    run: Run = "latest",
    topic: Annotated[
        words.Topic | None,
        typer.Argument(metavar="TOPIC", **one_of(words.Topic, "TOPIC", say="Every row of one kind")),
    ] = None,
    suite: OfSuite = "",
    all_: Annotated[bool, typer.Option("--all", help="Every row of every kind.")] = False,
    db: Db = DB,
    wide: Wide = False,
    json: Json = False,
) -> None:
    """Show one run: what failed and why, what is slower, what next.

    What is slower is told against the run before of the same suite, or, without one, against what a case was timed
    beside. Every row is behind a topic, or --all.

    Example: assay show latest
    """
    from assay.runner.reports import console
    from assay.runner.reports.highlights import print_highlights

    with published(db) as connection:
        run_id = run_named(connection, run, suite)
        document = _document(connection, run_id)
        if json:
            console.print_json(document)
        elif all_ or topic is not None:
            for one in [topic] if topic is not None else words.Topic:
                _print_rows(one, document[one], wide=wide)
        else:
            print_highlights(connection, run_id, document)


def _document(connection: duckdb.DuckDBPyConnection, run_id: str) -> dict[str, Any]:
    """Everything of a run, by topic."""
    from assay.schema.queries import parity as parity_queries
    from assay.schema.queries import runs as run_queries

    return {
        "run": run_id,
        "environment": run_queries.environment_of(connection, run_id),
        "cases": [_shown(case) for case in run_queries.cases_of(connection, run_id)],
        "verdicts": parity_queries.verdicts_of(connection, run_id),
        "receipts": parity_queries.receipts_of(connection, run_id),
        "measurements": run_queries.measurements_of(connection, run_id),
        "findings": parity_queries.findings_of(connection, run_id),
        "noise": parity_queries.noise_of(connection, run_id),
        "invariants": parity_queries.invariants_of(connection, run_id),
    }


def _shown(case: dict[str, Any]) -> dict[str, Any]:
    """A case as it is shown: `status` is what it came to, `ended` how its process did."""
    return {**case, "status": case["came_to"], "ended": case["status"]}


def _print_rows(topic: words.Topic, rows: list[dict[str, Any]], *, wide: bool) -> None:
    from assay.runner.reports.console import measured
    from assay.runner.reports.tables import print_table

    if topic == words.Topic.MEASUREMENTS:
        rows = [{**row, **measured(row["value"], row["low"], row["high"], row["unit"])} for row in rows]
    print_table(rows, _COLUMNS[topic], topic, wide=wide)


@family.command("list")
def list_(
    what: Annotated[words.Listed, typer.Argument(metavar="WHAT", **one_of(words.Listed, "WHAT", say="One of"))],
    db: Db = DB,
    wide: Wide = False,
    json: Json = False,
) -> None:
    """List what there is: suites, runs, models, metrics and more.

    Example: assay list suites
    """
    from assay.runner.cli import catalogue
    from assay.runner.reports import console
    from assay.runner.reports.tables import print_table

    rows = catalogue.LISTS[what](store_at(db))
    if json:
        console.print_json(rows)
    else:
        print_table(rows, rows[0] if rows else (), what, wide=wide)
