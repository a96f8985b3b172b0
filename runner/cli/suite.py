"""`assay suite`: check and describe suite files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.runner.cli.family import Family, Panel
from assay.runner.cli.options import DB, Db, Json, Suite, Wide, store_at
from assay.runner.errors import ExitCode

if TYPE_CHECKING:
    from assay.runner.investigate.suite_check import Checked

family = Family(Panel.KEEP, name="suite", help="Check and describe suite files.")

_COLUMNS = ("case", "version", "recipe", "reference", "policy")


@family.command()
def check(
    file: Suite,
    opened: Annotated[
        bool, typer.Option("--open/--no-open", help="Whether its models are opened, each in a worker.")
    ] = True,
    db: Db = DB,
    wide: Wide = False,
    json: Json = False,
) -> None:
    """Validate a suite and list the cases that it makes.

    Its models are opened, and names, dtypes and shapes are held against them. What is left out is listed with why.

    Exit code 2 where a model and the suite disagree, 4 where something is asked for and nothing compares it.

    Example: assay suite check my_suite.toml
    """
    from assay.runner.investigate.suite_check import check_suite
    from assay.runner.reports import console

    found = check_suite(file, store_at(db).goldens, opened=opened)
    if json:
        console.print_json({"suite": file, **found.as_document()})
    else:
        _print(file, found, wide=wide)
    if found.problems:
        raise typer.Exit(int(ExitCode.USAGE))
    if found.compares_nothing:
        raise typer.Exit(int(ExitCode.NOTHING))


def _print(file: str, found: Checked, *, wide: bool) -> None:
    from assay.runner.reports import left_out
    from assay.runner.reports.tables import print_table

    cases: list[dict[str, Any]] = found.as_document()["cases"]
    print_table(cases, _COLUMNS, f"{file}: {len(cases)} cases", wide=wide)
    lines = [
        *left_out.lines(found.asked, most=len(found.asked.left_out)),
        *(f"nothing was compared: {text}" for text in found.compares_nothing if text not in found.unmet_words),
        *(f"note: {note.about}: {note.text}" for note in found.notes),
    ]
    for model in found.models:
        lines += [f"model {model.model}: {text}" for text in model.problems]
        lines += [f"note: model {model.model}: {text}" for text in model.notes]
        if model.state == "opened" and not model.problems:
            lines.append(f"model {model.model}: opened, and it takes and gives what the suite says")
    print("".join(f"{line}\n" for line in lines), end="")


@family.command(name="schema")
def suite_schema() -> None:
    """Print the JSON Schema of suite files, for editors.

    Example: assay suite schema > assay-suite.schema.json
    """
    from assay.runner.suites.suite import Suite
    from assay.schema.documents import strict

    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Suite.model_json_schema()}
    print(strict(schema, indent=1))  # `$schema` is its version: validators refuse words that they do not know
