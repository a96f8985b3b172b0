"""`assay db`: the books themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from assay.runner.cli import words
from assay.runner.cli.family import Family, Panel
from assay.runner.cli.options import DB, Db, Json, Wait, Wide, one_of, published, store_at
from assay.runner.errors import ExitCode, UsageError

family = Family(Panel.KEEP, name="db", help="Look after the database.")


@family.command()
def migrate(db: Db = DB, wait: Wait = 30.0, json: Json = False) -> None:
    """Bring the database to this version's schema.

    Every sync does it too.

    Example: assay db migrate
    """
    sync(db, rebuild=False, wait=wait, json=json)


@family.command()
def sync(
    db: Db = DB,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Make the database anew from the log of bundles.")] = False,
    wait: Wait = 30.0,
    json: Json = False,
) -> None:
    """Take waiting bundles into the database and publish a snapshot.

    Example: assay db sync
    """
    from assay.runner.reports import console
    from assay.schema.store import ingest

    done = (ingest.rebuild if rebuild else ingest.sync)(store_at(db), wait)
    document = {
        "ingested": done.ingested,
        "already_there": done.already_there,
        "rejected": done.rejected,
        "snapshot": str(done.snapshot),
    }
    if json:
        console.print_json(document)
    else:
        print(
            f"{len(done.ingested)} bundles ingested, {len(done.already_there)} were there already, {len(done.rejected)}"
            " rejected"
        )
        for name, reason in done.rejected.items():
            print(f"rejected {name}: {reason}")
    raise typer.Exit(int(ExitCode.FAILED if done.rejected else ExitCode.OK))


@family.command()
def status(db: Db = DB, wide: Wide = False, json: Json = False) -> None:
    """Say what is recorded, waiting and rejected.

    Example: assay db status
    """
    from assay.runner.cli import catalogue
    from assay.runner.reports import console
    from assay.runner.reports.tables import print_table

    document = catalogue.store_status(store_at(db))
    if json:
        console.print_json(document)
    else:
        print_table(_status_lines(document), ["what", "value"], wide=wide)


def _status_lines(document: dict[str, Any]) -> list[dict[str, str]]:
    """One line a fact; tables without rows are left out."""
    from assay.runner.reports.tables import cell

    facts = {key.replace("_", " "): cell(key, value) for key, value in document.items() if not isinstance(value, dict)}
    facts |= {f"rows of {table}": count for table, count in document.get("rows", {}).items() if count}
    facts |= {f"rejected {bundle}": reason for bundle, reason in document.get("rejections", {}).items()}
    return [{"what": key, "value": str(value)} for key, value in facts.items()]


@family.command()
def export(
    folder: Annotated[Path, typer.Argument(help="A new folder; one file a table.")],
    db: Db = DB,
    format_: Annotated[
        words.ExportFormat, typer.Option("--as", **one_of(words.ExportFormat, "--as", say="The format"))
    ] = words.ExportFormat.PARQUET,
    json: Json = False,
) -> None:
    """Write every table to a folder.

    Example: assay db export books --as csv
    """
    from assay.runner.reports import console
    from assay.schema.queries import runs as run_queries

    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty; name a new folder.")
    folder.mkdir(parents=True, exist_ok=True)
    written: dict[str, int] = {}
    with published(db) as connection:
        for table, rows in run_queries.table_counts(connection).items():
            relation, file = connection.table(table), str(folder / f"{table}.{format_}")
            if format_ == "parquet":
                relation.to_parquet(file)
            else:
                relation.to_csv(file)
            written[file] = rows
            if not json:
                print(f"{table}: {rows} rows")
    if json:
        console.print_json(written)
