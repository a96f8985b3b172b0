"""`assay trtexec`, `assay import`: figures that another tool measured, in the same books."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from assay.runner.cli import words
from assay.runner.cli.family import Family, Panel
from assay.runner.cli.options import DB, Asked, Db, Json, Wait, Wide, one_of, store_at
from assay.runner.errors import ExitCode, UsageError

family = Family(Panel.MEASURE)


@family.command()
def trtexec(
    model_file: Annotated[Path, typer.Argument(metavar="ONNX", help="The model to build an engine of.")],
    model: Annotated[str, typer.Option("--model", help="What the figures are of.")],
    variant: Annotated[str, typer.Option("--variant", help="e.g. int8.")] = "fp32",
    version: Annotated[str, typer.Option("--version", help="The model's version.")] = "imported",
    shapes: Annotated[
        list[str] | None, typer.Option("--shapes", help="x:1x3x8x8,y:...; once, or three times: least, usual, largest.")
    ] = None,
    asked: Asked = None,
    flag: Annotated[list[str] | None, typer.Option("--flag", help="Passed on, e.g. --flag=--useCudaGraph.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Keep its files and the engine in this folder.")] = None,
    found_at: Annotated[str | None, typer.Option("--program", help="trtexec, where it is not on the PATH.")] = None,
    timeout: Annotated[float, typer.Option("--timeout", min=1, help="Seconds until it is ended.")] = 3600.0,
    db: Db = DB,
    wait: Wait = 30.0,
    wide: Wide = False,
    json: Json = False,
) -> None:
    """Build and time an engine with trtexec, and record what it wrote.

    Its profile is taken in a run of its own.

    Example: assay trtexec model-int8.onnx --model resnet --variant int8 --shapes x:1x3x224x224 --asked int8
    """
    import tempfile

    from assay.runner.books.imports import Target, record_import
    from assay.runner.books.imports.trtexec import Files, command, program, run
    from assay.runner.graphs.engine_layers import read
    from assay.runner.graphs.engine_pair import audit, times
    from assay.runner.reports import console
    from assay.runner.reports.tables import print_table
    from assay.schema.reading import MEASURED, read_text

    if not model_file.is_file():
        raise UsageError(f"there is no file {model_file}.")
    with tempfile.TemporaryDirectory() as scratch:
        folder = out or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        files = Files(*(folder / name for name in ("times.json", "profile.json", "layers.json", "model.engine")))
        if files.written:
            raise UsageError(f"{folder} has files of an earlier trtexec; name a new folder.")
        run(command(program(found_at), model_file, shapes or [], flag or [], files), files, timeout)
        target = Target(model, version, variant, None, "trtexec", None, "here")
        done = record_import(store_at(db), "trtexec", files.written, target, [], wait)
        known = times(read_text(files.profile, MEASURED)) if files.profile.is_file() else {}
        checked = (
            audit(read(read_text(files.layers, MEASURED)), asked, known) if asked and files.layers.is_file() else None
        )
    if json:
        console.print_json({**done, "audit": {**asdict(checked), "outcome": checked.outcome} if checked else None})
    else:
        print_table(done["cases"], ["case", "metrics", "samples", "layers"], f"run {done['run']}", wide=wide)
        if checked:
            print(f"asked for {asked}: {checked.outcome}; {checked.by_precision}")
    if asked and (checked is None or checked.outcome != "pass"):
        raise typer.Exit(int(ExitCode.FAILED if checked and checked.outcome == "fail" else ExitCode.NOTHING))


@family.command("import")
def import_(
    kind: Annotated[
        words.ImportFormat,
        typer.Argument(metavar="FORMAT", **one_of(words.ImportFormat, "FORMAT", say="What wrote them")),
    ],
    files: Annotated[list[Path], typer.Argument(help="Files that the other tool wrote.")],
    model: Annotated[str, typer.Option("--model", help="What the figures are of.")],
    hardware: Annotated[
        str, typer.Option("--hardware", help="Hardware class that they were measured on; `here` for this host's.")
    ],
    variant: Annotated[str, typer.Option("--variant", help="e.g. fp16.")] = "fp32",
    backend: Annotated[
        str | None, typer.Option("--backend", help="What executed it; the format's own if left out.")
    ] = None,
    workload: Annotated[str, typer.Option("--workload", help="What was fed.")] = "imported",
    version: Annotated[str, typer.Option("--version", help="The model's version.")] = "imported",
    device: Annotated[str | None, typer.Option("--device", help="cpu or cuda; the format's own if left out.")] = None,
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", help="Of csv: METRIC=COLUMN, e.g. latency_p50_ms=median; name=COLUMN names the case."),
    ] = None,
    db: Db = DB,
    wait: Wait = 30.0,
    wide: Wide = False,
    json: Json = False,
) -> None:
    """Record figures that another tool measured.

    They carry the provenance `imported`.

    Example: assay import trtexec times.json --model resnet50 --variant fp16 --hardware "NVIDIA L4"
    """
    from assay.runner.books.imports import Target, record_import
    from assay.runner.reports import console
    from assay.runner.reports.tables import print_table

    target = Target(
        model=model,
        version=version,
        variant=variant,
        backend=backend,
        workload=workload,
        device=device,
        hardware=hardware,
    )
    done = record_import(store_at(db), kind, files, target, mapping or [], wait)
    if json:
        console.print_json(done)
    else:
        print_table(done["cases"], ["case", "metrics", "samples", "layers"], f"run {done['run']}", wide=wide)
