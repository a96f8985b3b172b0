"""The groups of commands that look after suites, goldens and the database."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from assay.runner.cli.options import DB_DEFAULT, Db, Json, Wait, published, store_at
from assay.runner.errors import ExitCode, UsageError

suite_app = typer.Typer(help="Check and describe suite files.", no_args_is_help=True)
golden_app = typer.Typer(help="Record reference outputs once, and keep them.", no_args_is_help=True)
db_app = typer.Typer(help="Look after the database.", no_args_is_help=True)


@suite_app.command()
def check(
    file: Annotated[str, typer.Argument(help="A suite file, or the name of a suite that ships.")], json: Json = False
) -> None:
    """Validate a suite and list the cases that it makes.

    Example: assay suite check my_suite.toml
    """
    from assay.runner.reports import console
    from assay.runner.suites.case import expand
    from assay.runner.suites.suite import find_suite, load_suite

    cases = [
        {
            "case": c.name,
            "version": c.version,
            "recipe": c.recipe.recipe,
            "reference": (c.golden and f"golden:{c.golden}") or c.reference,
            "policy": c.policy_name,
        }
        for c in expand(load_suite(find_suite(file)))
    ]
    if json:
        console.print_json({"suite": file, "cases": cases})
    else:
        console.print_table(cases, ["case", "version", "recipe", "reference", "policy"], f"{file}: {len(cases)} cases")


@suite_app.command(name="schema")
def suite_schema() -> None:
    """Print the JSON Schema of suite files, for editors.

    Example: assay suite schema > assay-suite.schema.json
    """
    from assay.runner.reports import console
    from assay.runner.suites.suite import Suite

    console.print_json({"$schema": "https://json-schema.org/draft/2020-12/schema", **Suite.model_json_schema()})


@golden_app.command()
def record(
    suite: Annotated[str, typer.Argument(help="A suite file, or the name of a suite that ships.")],
    model: Annotated[str, typer.Option("--model", help="Which of the suite's models.")],
    workload: Annotated[str, typer.Option("--workload", help="Which of the suite's workloads.")],
    name: Annotated[str, typer.Option("--name", help="What to call it.")],
    version: Annotated[str | None, typer.Option("--version", help="One of the model's named versions.")] = None,
    db: Db = Path(DB_DEFAULT),
    json: Json = False,
) -> None:
    """Run the reference once and keep its inputs and outputs.

    Example: assay golden record quickstart --model digits --workload handwriting --name digits-v2
    """
    from assay.runner.cli import catalogue
    from assay.runner.reports import console
    from assay.runner.run.prepare import record_golden
    from assay.runner.suites.suite import find_suite, load_suite

    path = find_suite(suite)
    recorded = record_golden(load_suite(path), path.parent.absolute(), store_at(db), model, version, workload, name)
    document = catalogue.golden_row(recorded)
    if json:
        console.print_json(document)
    else:
        console.print_table([document], document)


@golden_app.command(name="import")
def golden_import(
    file: Annotated[
        Path, typer.Argument(help=".jsonl, .npz, a folder of .npz (a file a step), or Polygraphy's .json.")
    ],
    name: Annotated[str, typer.Option("--name", help="What to call it.")],
    inputs: Annotated[Path | None, typer.Option("--inputs", help="Polygraphy's saved inputs of the same run.")] = None,
    version: Annotated[
        str, typer.Option("--version", help="The model version that it is of, as far as you know.")
    ] = "imported",
    max_steps: Annotated[int | None, typer.Option("--max-steps", min=1, help="No more than these.")] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Of a damaged file, keep the records before the damage.")
    ] = False,
    db: Db = Path(DB_DEFAULT),
    json: Json = False,
) -> None:
    """Keep a reference file of another harness as a golden.

    Example: assay golden import pytorch_reference_50.jsonl --name encoder-50
    """
    from assay.runner.cli import catalogue
    from assay.runner.reports import console
    from assay.runner.workloads.golden_import import import_golden

    imported, problem = import_golden(
        store_at(db).goldens, name, file, inputs=inputs, version=version, max_steps=max_steps, partial=partial
    )
    document = {**catalogue.golden_row(imported), "left_out": problem}
    if json:
        console.print_json(document)
    else:
        console.print_table([document], document)
    raise typer.Exit(int(ExitCode.FAILED if problem else ExitCode.OK))


@golden_app.command(name="show")
def golden_show(name: str, db: Db = Path(DB_DEFAULT), json: Json = False) -> None:
    """Show what a golden holds, step by step.

    Example: assay golden show digits-v2
    """
    from assay.runner.reports import console
    from assay.runner.workloads import golden

    found = golden.read(store_at(db).goldens, name)
    rows = [
        {"step": number, "side": side, "name": key, **entry}
        for number, step in enumerate(found.steps)
        for side, entries in step.items()
        for key, entry in entries.items()
    ]
    if json:
        console.print_json({"name": name, **found.facts, "arrays": rows})
    else:
        console.print_table(
            rows, ["step", "side", "name", "dtype", "shape", "bytes", "sha256"], f"{name}: {found.facts}"
        )


@golden_app.command()
def verify(name: str, db: Db = Path(DB_DEFAULT), json: Json = False) -> None:
    """Check that every array is the one that was recorded.

    Example: assay golden verify digits-v2
    """
    from assay.runner.reports import console
    from assay.runner.workloads import golden

    problems = golden.verify(golden.read(store_at(db).goldens, name))
    if json:
        console.print_json({"name": name, "ok": not problems, "problems": problems})
    else:
        print(f"{name}: every array is the one that was recorded" if not problems else "\n".join(problems))
    raise typer.Exit(int(ExitCode.FAILED if problems else ExitCode.OK))


@db_app.command()
def migrate(db: Db = Path(DB_DEFAULT), wait: Wait = 30.0, json: Json = False) -> None:
    """Bring the database to this version's schema (every sync does it too).

    Example: assay db migrate
    """
    sync(db, rebuild=False, wait=wait, json=json)


@db_app.command()
def sync(
    db: Db = Path(DB_DEFAULT),
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


@db_app.command()
def status(db: Db = Path(DB_DEFAULT), json: Json = False) -> None:
    """Say what is recorded, waiting and rejected.

    Example: assay db status
    """
    from assay.runner.cli import catalogue
    from assay.runner.reports import console

    document = catalogue.store_status(store_at(db))
    if json:
        console.print_json(document)
    else:
        console.print_table([{"what": key, "value": str(value)} for key, value in document.items()], ["what", "value"])


@db_app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="A new folder; one file a table.")],
    db: Db = Path(DB_DEFAULT),
    format_: Annotated[str, typer.Option("--as", help="parquet or csv.")] = "parquet",
    json: Json = False,
) -> None:
    """Write every table to a folder.

    Example: assay db export books --as csv
    """
    from assay.runner.reports import console
    from assay.schema.queries import runs as run_queries

    if format_ not in ("parquet", "csv"):
        raise UsageError(f"--as is parquet or csv, not {format_!r}.")
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
