"""`assay contract`: what a model takes, gives and feeds back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from assay.runner.cli import complete
from assay.runner.cli.family import Family, Panel
from assay.runner.cli.options import DB, Db, Json, store_at
from assay.runner.errors import ExitCode, UsageError

family = Family(Panel.KEEP, name="contract", help="Say what a model takes, gives and feeds back.")


@family.command()
def init(
    model: Annotated[str, typer.Argument(help="An ONNX file, or MODEL of a suite as SUITE:MODEL.")],
    out: Annotated[Path | None, typer.Option("--out", help="Where to write it; stdout without.")] = None,
    json: Json = False,
) -> None:
    """Write a contract from a model: ports, symbols, states.

    States are found by their names.

    Example: assay contract init encoder.onnx --out encoder.contract.toml
    """
    from assay.runner.investigate.contract import contract_of_model
    from assay.runner.reports import console
    from assay.runner.rules.contract import to_toml

    contract = contract_of_model(model)
    text = to_toml(contract)
    if out is not None:
        if out.exists():
            raise UsageError(f"{out} is there already; name a new file.")
        out.write_text(text)
    if json:
        console.print_json(contract.model_dump(mode="json", exclude_defaults=True))
    elif out is None:
        print(text, end="")
    else:
        print(
            f"{out}: {len(contract.inputs)} inputs, {len(contract.outputs)} outputs, {len(contract.state)} states. Read"
            " it, and add what always holds."
        )


@family.command()
def check(
    contract: Annotated[Path, typer.Argument(help="A contract, .toml or .json.")],
    model: Annotated[
        str | None, typer.Option("--model", help="An ONNX file or SUITE:MODEL to hold it against.")
    ] = None,
    golden: Annotated[
        str | None,
        typer.Option("--golden", help="A golden whose every step is held against it.", autocompletion=complete.goldens),
    ] = None,
    db: Db = DB,
    json: Json = False,
) -> None:
    """Check a contract, alone or against a model and recorded steps.

    Example: assay contract check encoder.contract.toml --model encoder.onnx
    """
    from assay.runner.investigate.contract import disagreements
    from assay.runner.reports import console

    problems = disagreements(contract, model, store_at(db).goldens, golden)
    if json:
        console.print_json({"contract": str(contract), "ok": not problems, "problems": problems})
    else:
        print("\n".join(problems) or f"{contract.name}: sound" + (f", and {model} keeps it" if model else ""))
    raise typer.Exit(int(ExitCode.FAILED if problems else ExitCode.OK))
