"""`assay golden`: reference outputs, recorded once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from assay.runner.cli.family import Family, Panel
from assay.runner.cli.options import DB, Db, Golden, Json, Suite, Wide, store_at
from assay.runner.errors import ExitCode

family = Family(Panel.KEEP, name="golden", help="Record reference outputs once, and keep them.")


@family.command()
def record(
    suite: Suite,
    model: Annotated[str, typer.Option("--model", help="Which of the suite's models.")],
    workload: Annotated[str, typer.Option("--workload", help="Which of the suite's workloads.")],
    name: Annotated[str, typer.Option("--name", help="What to call it.")],
    version: Annotated[str | None, typer.Option("--version", help="One of the model's named versions.")] = None,
    db: Db = DB,
    wide: Wide = False,
    json: Json = False,
) -> None:
    """Run the reference once and keep its inputs and outputs.

    Example: assay golden record quickstart --model digits --workload handwriting --name digits-v2
    """
    from assay.runner.cli import catalogue
    from assay.runner.reports import console
    from assay.runner.reports.tables import print_table
    from assay.runner.run.prepare import record_golden
    from assay.runner.suites.suite import find_suite, load_suite

    path = find_suite(suite)
    recorded = record_golden(load_suite(path), path.parent.absolute(), store_at(db), model, version, workload, name)
    document = catalogue.golden_row(recorded)
    if json:
        console.print_json(document)
    else:
        print_table([document], document, wide=wide)


@family.command(name="import")
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
    db: Db = DB,
    wide: Wide = False,
    json: Json = False,
) -> None:
    """Keep a reference file of another harness as a golden.

    Example: assay golden import pytorch_reference_50.jsonl --name encoder-50
    """
    from assay.runner.cli import catalogue
    from assay.runner.reports import console
    from assay.runner.reports.tables import print_table
    from assay.runner.workloads.golden_import import import_golden

    imported, problem = import_golden(
        store_at(db).goldens, name, file, inputs=inputs, version=version, max_steps=max_steps, partial=partial
    )
    document = {**catalogue.golden_row(imported), "left_out": problem}
    if json:
        console.print_json(document)
    else:
        print_table([document], document, wide=wide)
    raise typer.Exit(int(ExitCode.FAILED if problem else ExitCode.OK))


@family.command(name="show")
def golden_show(name: Golden, db: Db = DB, wide: Wide = False, json: Json = False) -> None:
    """Show what a golden holds, step by step.

    Example: assay golden show digits-v2
    """
    from assay.runner.reports import console
    from assay.runner.reports.tables import print_table
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
        print_table(
            rows,
            ["step", "side", "name", "dtype", "shape", "bytes", "sha256"],
            f"{name}: {found.facts}",
            wide=wide,
        )


@family.command()
def verify(name: Golden, db: Db = DB, json: Json = False) -> None:
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
