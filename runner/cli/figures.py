"""Commands on what was measured: compare two runs, check a claim, write a report, import figures of other tools."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated

import typer

from assay.runner.cli.options import DB_DEFAULT, Db, Json, Wait, published, store_at
from assay.runner.errors import ExitCode, UsageError


def compare(
    a: Annotated[str, typer.Argument(help="The run to compare from.")],
    b: Annotated[str, typer.Argument(help="The run to compare to.")] = "latest",
    db: Db = Path(DB_DEFAULT),
    force: Annotated[
        bool, typer.Option("--force", help="Give ratios of unlike things too; recorded, with --reason.")
    ] = False,
    reason: Annotated[str, typer.Option(help="With --force: why unlike things are compared.")] = "",
    owner: Annotated[str, typer.Option(help="With --force: who asks; this user if left out.")] = "",
    wait: Wait = 30.0,
    json: Json = False,
) -> None:
    """Compare two runs: speed, size and parity side by side, unlike things named.

    Example: assay compare latest~1 latest
    """
    from assay.runner.books.overrides import record_override
    from assay.runner.reports import console
    from assay.schema.queries.comparison import compare_runs, resolve

    if force and not reason.strip():
        raise UsageError("--force compares unlike things, and that is recorded: say why with --reason.")
    with published(db) as connection:
        compared = compare_runs(connection, resolve(connection, a), resolve(connection, b), force=force)
    if force and compared.unlike:
        record_override(store_at(db), compared, owner=owner or getpass.getuser(), reason=reason, wait_s=wait)
    if json:
        console.print_json(compared.as_document())
        return
    print(f"A {compared.a}\nB {compared.b}")
    for name, (left, right) in compared.environment.items():
        print(f"differs: {name}: {left} -> {right}")
    for row in compared.overrides:
        print(f"override of {row['recorded_at']:%Y-%m-%d} by {row['owner']}: {row['reason']}")
    document = compared.as_document()
    lines = [
        {
            **line,
            "A": console.interval(line["a"], line["a_low"], line["a_high"]),
            "B": console.interval(line["b"], line["b_low"], line["b_high"]),
            "B/A": console.interval(line["ratio"], line["ratio_low"], line["ratio_high"]),
        }
        for line in document["measurements"]
    ]
    console.print_table(lines, ["case", "name", "A", "B", "B/A", "outcome", "differs"], "speed and size")
    receipts = [{**line, "A": line["a"], "B": line["b"]} for line in document["parity"]]
    console.print_table(receipts, ["case", "name", "A", "B", "outcome", "differs"], "parity")
    if not any(line.ratio or line.outcome.startswith("both") for line in [*compared.speed, *compared.parity]):
        raise typer.Exit(int(ExitCode.NOTHING))


def claim(
    sentence: Annotated[str, typer.Argument(help='E.g. "int8 is 1.69x faster than fp32 on context-64".')],
    run: Annotated[
        str, typer.Option("--run", help="A run: id or prefix, latest, latest~1, version:X, branch:X.")
    ] = "latest",
    model: Annotated[str | None, typer.Option("--model", help="Only this model.")] = None,
    workload: Annotated[str | None, typer.Option("--workload", help="Only this workload.")] = None,
    db: Db = Path(DB_DEFAULT),
    json: Json = False,
) -> None:
    """Recompute a stated ratio from what was measured; exit code 1 where the rows contradict it.

    Example: assay claim "int8 is 1.69x faster than fp32"
    """
    from assay.runner.reports import console
    from assay.runner.reports.claims import check, parse
    from assay.schema.queries import runs as run_queries
    from assay.schema.queries.comparison import resolve

    stated = parse(sentence)
    with published(db) as connection:
        run_id = resolve(connection, run)
        checked = check(stated, run_queries.measurements_of(connection, run_id), model, workload)
    documents = [one.as_document() for one in checked]
    if json:
        console.print_json({"run": run_id, "claim": sentence, "checked": documents})
    else:
        console.print_table(
            documents, ["model", "workload", "check", "a", "b", "verdict", "reason", "provenance"], f"run {run_id}"
        )
    verdicts = {one.verdict for one in checked}
    if "contradicted" in verdicts:
        raise typer.Exit(int(ExitCode.FAILED))
    if "holds" not in verdicts:
        raise typer.Exit(int(ExitCode.NOTHING))


def report(
    run: Annotated[str, typer.Argument(help="A run: id or prefix, latest, latest~1, version:X, branch:X.")] = "latest",
    as_: Annotated[str, typer.Option("--as", help="md, html, csv or json.")] = "md",
    out: Annotated[Path | None, typer.Option("--out", help="Write it here instead of to stdout.")] = None,
    db: Db = Path(DB_DEFAULT),
) -> None:
    """Write what a run measured as a report: every figure with its interval, its n and where it comes from.

    Example: assay report latest --as html --out report.html
    """
    from assay.runner.errors import nearest
    from assay.runner.reports.document import FORMATS
    from assay.runner.reports.facts import gather
    from assay.schema.queries.comparison import resolve

    if as_ not in FORMATS:
        raise UsageError(f"--as is {', '.join(FORMATS)}, not {as_!r}.{nearest(as_, FORMATS)}")
    with published(db) as connection:
        text = FORMATS[as_](gather(connection, resolve(connection, run)))
    if out is None:
        print(text, end="")
        return
    try:
        out.write_text(text)
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror}") from None
    typer.echo(f"wrote {out}", err=True)


def import_(
    kind: Annotated[
        str, typer.Argument(metavar="FORMAT", help="trtexec, polygraphy, onnxruntime, pytest-benchmark or csv.")
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
    db: Db = Path(DB_DEFAULT),
    wait: Wait = 30.0,
    json: Json = False,
) -> None:
    """Record figures that another tool measured, with the provenance `imported`.

    Example: assay import trtexec times.json --model resnet50 --variant fp16 --hardware "NVIDIA L4"
    """
    from assay.runner.books.imports import Target, record_import
    from assay.runner.reports import console

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
        console.print_table(done["cases"], ["case", "metrics", "samples", "layers"], f"run {done['run']}")
