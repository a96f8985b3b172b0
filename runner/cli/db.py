"""`assay db`: the books themselves."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.runner.cli import words
from assay.runner.cli.family import Family, Panel
from assay.runner.cli.options import DB, Db, Json, Wait, Wide, one_of, published, store_at
from assay.runner.errors import ExitCode, UsageError

if TYPE_CHECKING:
    import duckdb

    from assay.schema.store.backup import Kept
    from assay.schema.store.ingest import Synced

family = Family(Panel.KEEP, name="db", help="Look after the database.")


@family.command()
def migrate(db: Db = DB, wait: Wait = 30.0, json: Json = False) -> None:
    """Bring the database to this version's schema.

    Every sync does it too.

    Example: assay db migrate
    """
    sync(db, anew=False, wait=wait, json=json)


@family.command()
def sync(
    db: Db = DB,
    anew: Annotated[bool, typer.Option("--rebuild", help="Make the database anew from the log of bundles.")] = False,
    wait: Wait = 30.0,
    json: Json = False,
) -> None:
    """Take waiting bundles into the database and publish a snapshot.

    Example: assay db sync
    """
    from assay.schema.store.ingest import sync as take
    from assay.schema.store.rebuild import rebuild

    _say_synced((rebuild if anew else take)(store_at(db), wait), json=json)


@family.command()
def requeue(
    bundles: Annotated[list[str] | None, typer.Argument(help="Bundles that were put aside; all without.")] = None,
    db: Db = DB,
    wait: Wait = 30.0,
    json: Json = False,
) -> None:
    """Try bundles again that were put aside.

    A release before 0.6 put good ones aside when a disk was full.

    Example: assay db requeue
    """
    from assay.schema.store.requeue import requeue as again

    _say_synced(again(store_at(db), bundles or None, wait), json=json)


@family.command()
def verify(db: Db = DB, wait: Wait = 30.0, json: Json = False) -> None:
    """Hold the database against its log.

    Every bundle's hash, every table's rows, and the chain of bundles; exit code 1 where they differ.

    Example: assay db verify
    """
    from assay.runner.reports import console
    from assay.schema.store.verify import verify as held

    found = held(store_at(db), wait)
    if json:
        console.print_json({"bundles": found.bundles, "rows": found.rows, "faults": found.faults})
    else:
        print(f"{found.bundles} bundles and {found.rows} rows were held against the log")
        for fault in found.faults:
            print(f"fault: {fault}")
    raise typer.Exit(int(ExitCode.FAILED if found.faults else ExitCode.OK))


@family.command()
def backup(
    folder: Annotated[Path, typer.Argument(help="A new folder, best on another disk.")],
    db: Db = DB,
    wait: Wait = 30.0,
    json: Json = False,
) -> None:
    """Copy the books to a new folder, and hold the copy against its log.

    Database, spool and goldens; artifacts can be built again.

    Example: assay db backup /mnt/backup/assay-2026-11-25
    """
    from assay.schema.store.backup import backup as copied

    _say_kept(copied(store_at(db), folder, wait), "copied to", json=json)


@family.command()
def restore(
    folder: Annotated[Path, typer.Argument(help="A folder that `assay db backup` made.")],
    db: Db = DB,
    replace: Annotated[
        bool, typer.Option("--replace", help="Where there are books: keep them beside, under another name.")
    ] = False,
    wait: Wait = 30.0,
    json: Json = False,
) -> None:
    """Put a backup, held against its log, in the place of the books.

    Example: assay db restore /mnt/backup/assay-2026-11-25 --replace
    """
    from assay.schema.store.backup import restore as put_back
    from assay.schema.store.ingest import sync as take

    kept = put_back(folder, store_at(db), replace=replace, wait_s=wait)
    take(store_at(db), wait)
    _say_kept(kept, "restored to", json=json)


def _say_kept(kept: Kept, what: str, *, json: bool) -> None:
    from assay.runner.reports import console

    if json:
        console.print_json({**asdict(kept), "folder": str(kept.folder), "replaced": [str(p) for p in kept.replaced]})
        return
    print(f"{kept.bundles} bundles and {kept.rows} rows {what} {kept.folder}, and held against their log")
    for path in kept.replaced:
        print(f"kept: {path}")


@family.command()
def collect(
    sources: Annotated[
        list[Path], typer.Argument(help="Folders of bundles, spools, or other books; mounted, shared, or copied here.")
    ],
    db: Db = DB,
    wait: Wait = 30.0,
    json: Json = False,
) -> None:
    """Take what other hosts recorded into these books.

    In any order, as often as you like: what is there already counts once. The sources are only read.

    Exit code 1 where a folder is no bundle.

    Example: assay db collect /mnt/gpu-1/assay.duckdb /mnt/mailbox
    """
    from assay.runner.reports import console
    from assay.schema.store.collect import collect as taken
    from assay.schema.store.ingest import sync as take

    found = taken(store_at(db), sources)
    done = take(store_at(db), wait)
    if json:
        console.print_json({"collected": asdict(found), "synced": {**asdict(done), "snapshot": str(done.snapshot)}})
    else:
        print(f"{len(found.taken)} bundles collected, {found.already_there} were there already")
        for folder, why in found.refused.items():
            print(f"refused: {folder}: {why}")
        for line in done.problems():
            print(line)
    raise typer.Exit(int(ExitCode.FAILED if found.refused or done.rejected or done.lost else ExitCode.OK))


def _say_synced(done: Synced, *, json: bool) -> None:
    """What a synchronisation did, and what a person has to know of it.

    Raises:
        Exit: 1 where something was put aside or is lost, 3 where something could not be read now, else 0.
    """
    from assay.runner.reports import console

    if json:
        console.print_json({**asdict(done), "snapshot": str(done.snapshot)})
    else:
        print(
            f"{len(done.ingested)} bundles ingested, {len(done.already_there)} were there already, {len(done.rejected)}"
            " rejected"
        )
        for line in done.problems():
            print(line)
    wrong = ExitCode.FAILED if done.rejected or done.lost else ExitCode.ENVIRONMENT if done.left else ExitCode.OK
    raise typer.Exit(int(wrong))


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
            file = str(folder / f"{table}.{format_}")
            _write(connection.table(table), file, format_)
            written[file] = rows
            if not json:
                print(f"{table}: {rows} rows")
    if json:
        console.print_json(written)


def _write(table: duckdb.DuckDBPyRelation, file: str, format_: str) -> None:
    """A table as a file, by a connection of its own: what reads the books may touch no other file.

    In CSV a text that a spreadsheet would take for a formula has an apostrophe before it.
    """
    import duckdb

    with duckdb.connect(":memory:", config={"threads": 1}) as outside:
        relation = outside.from_arrow(table.to_arrow_reader())
        if format_ == "parquet":
            relation.to_parquet(file)
            return
        texts = [f'"{name}"' for name, kind in zip(relation.columns, relation.types, strict=True) if kind == "VARCHAR"]
        escaped = ", ".join(f"regexp_replace({name}, '^([=+@\\t\\r-])', chr(39) || '\\1') AS {name}" for name in texts)
        relation.project(f"* REPLACE ({escaped})" if texts else "*").to_csv(file)
