"""`assay engines`: two TensorRT engines layer by layer, from what the engine inspector and trtexec wrote."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.runner.cli.options import DB_DEFAULT, Db, Json, Wait, store_at
from assay.runner.errors import ExitCode, UsageError, nearest

if TYPE_CHECKING:
    from assay.runner.graphs.engine_pair import Match

_PRECISIONS = ("float32", "float16", "bfloat16", "int8", "float8", "int4", "float4")


def engines(
    a: Annotated[Path, typer.Argument(help="Layer information of one engine (trtexec --exportLayerInfo, detailed).")],
    b: Annotated[Path, typer.Argument(help="Layer information of the other.")],
    profile_a: Annotated[
        Path | None, typer.Option("--profile-a", help="Its times (trtexec --exportProfile, a run of its own).")
    ] = None,
    profile_b: Annotated[Path | None, typer.Option("--profile-b", help="The times of the other.")] = None,
    asked: Annotated[
        str | None,
        typer.Option("--asked", help="The precision that B was meant to be in; exit code 1 where it is not."),
    ] = None,
    json: Json = False,
) -> None:
    """Compare two engines of one model.

    Fusions, precisions that really run, reformats, times, and why one is not faster.

    Example: assay engines fp32-layers.json int8-layers.json --profile-a fp32.json --profile-b int8.json --asked int8
    """
    from assay.runner.graphs.engine_layers import read
    from assay.runner.graphs.engine_pair import audit, matches, times, why_not_faster
    from assay.runner.reports import console

    if asked is not None and asked not in _PRECISIONS:
        raise UsageError(f"--asked is {', '.join(_PRECISIONS)}, not {asked!r}.{nearest(asked, _PRECISIONS)}")
    left, right = read(_text(a)), read(_text(b))
    left_ms, right_ms = (times(_text(file)) if file else {} for file in (profile_a, profile_b))
    lines = [_line(match) for match in matches(left, right, left_ms, right_ms)]
    slow = why_not_faster(right, right_ms)
    checked = audit(right, asked, right_ms) if asked else None
    if json:
        told: dict[str, Any] = {"layers": lines, "why_not_faster": slow}
        console.print_json({**told, "audit": {**asdict(checked), "outcome": checked.outcome} if checked else None})
    else:
        console.print_table(lines, ["nodes", "A", "B", "precision", "fusion", "A ms", "B ms"], f"A {a}, B {b}")
        for words in slow:
            print(f"B: {words}")
        if checked:
            shares = ", ".join(f"{dtype} {share:.0%}" for dtype, share in sorted(checked.by_precision.items()))
            print(
                f"asked for {asked}: {checked.outcome}; products are in {shares or 'types that the file does not say'}"
            )
    if checked and checked.outcome != "pass":
        raise typer.Exit(int(ExitCode.FAILED if checked.outcome == "fail" else ExitCode.NOTHING))


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {file}: {getattr(error, 'strerror', None) or 'it is no text'}") from None


def _line(match: Match) -> dict[str, Any]:
    sides = [sorted({layer.precision or "?" for layer in side}) for side in (match.a, match.b)]
    precision = [", ".join(side) or "-" for side in sides]
    return {
        "nodes": ", ".join(match.nodes[:3]) + (f" and {len(match.nodes) - 3} more" if len(match.nodes) > 3 else ""),
        "A": ", ".join(layer.kind for layer in match.a) or "-",
        "B": ", ".join(layer.kind for layer in match.b) or "-",
        "precision": precision[0] if precision[0] == precision[1] else f"{precision[0]} -> {precision[1]}",
        "fusion": match.fused,
        "A ms": match.a_ms,
        "B ms": match.b_ms,
    }


def trtexec(
    model_file: Annotated[Path, typer.Argument(metavar="ONNX", help="The model to build an engine of.")],
    model: Annotated[str, typer.Option("--model", help="What the figures are of.")],
    variant: Annotated[str, typer.Option("--variant", help="e.g. int8.")] = "fp32",
    version: Annotated[str, typer.Option("--version", help="The model's version.")] = "imported",
    shapes: Annotated[
        list[str] | None, typer.Option("--shapes", help="x:1x3x8x8,y:...; once, or three times: least, usual, largest.")
    ] = None,
    asked: Annotated[
        str | None,
        typer.Option("--asked", help="The precision that it was meant to be in; exit code 1 where it is not."),
    ] = None,
    flag: Annotated[list[str] | None, typer.Option("--flag", help="Passed on, e.g. --flag=--useCudaGraph.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Keep its files and the engine in this folder.")] = None,
    found_at: Annotated[str | None, typer.Option("--program", help="trtexec, where it is not on the PATH.")] = None,
    timeout: Annotated[float, typer.Option("--timeout", min=1, help="Seconds until it is ended.")] = 3600.0,
    db: Db = Path(DB_DEFAULT),
    wait: Wait = 30.0,
    json: Json = False,
) -> None:
    """Build and time an engine with trtexec, its profile in a run of its own, and record what it wrote.

    Example: assay trtexec model-int8.onnx --model resnet --variant int8 --shapes x:1x3x224x224 --asked int8
    """
    import tempfile

    from assay.runner.books.imports import Target, record_import
    from assay.runner.books.imports.trtexec import Files, command, program, run
    from assay.runner.graphs.engine_layers import read
    from assay.runner.graphs.engine_pair import audit, times
    from assay.runner.reports import console

    if asked is not None and asked not in _PRECISIONS:
        raise UsageError(f"--asked is {', '.join(_PRECISIONS)}, not {asked!r}.{nearest(asked, _PRECISIONS)}")
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
        known = times(files.profile.read_text()) if files.profile.is_file() else {}
        checked = audit(read(files.layers.read_text()), asked, known) if asked and files.layers.is_file() else None
    if json:
        console.print_json({**done, "audit": {**asdict(checked), "outcome": checked.outcome} if checked else None})
    else:
        console.print_table(done["cases"], ["case", "metrics", "samples", "layers"], f"run {done['run']}")
        if checked:
            print(f"asked for {asked}: {checked.outcome}; {checked.by_precision}")
    if asked and (checked is None or checked.outcome != "pass"):
        raise typer.Exit(int(ExitCode.FAILED if checked and checked.outcome == "fail" else ExitCode.NOTHING))
