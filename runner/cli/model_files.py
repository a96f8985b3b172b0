"""`assay engines`, `assay graph`: what the files of models and engines say of themselves."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.runner.cli.family import Family, Panel
from assay.runner.cli.options import DB, Asked, Case, Db, Json, OfRun, OfSuite, Wide, published, run_named, store_at
from assay.runner.errors import ExitCode, UsageError, nearest

if TYPE_CHECKING:
    from assay.runner.graphs.engine_pair import Match

family = Family(Panel.WHY)


@family.command()
def engines(
    a: Annotated[Path, typer.Argument(help="Layer information of one engine (trtexec --exportLayerInfo, detailed).")],
    b: Annotated[Path, typer.Argument(help="Layer information of the other.")],
    profile_a: Annotated[
        Path | None, typer.Option("--profile-a", help="Its times (trtexec --exportProfile, a run of its own).")
    ] = None,
    profile_b: Annotated[Path | None, typer.Option("--profile-b", help="The times of the other.")] = None,
    asked: Asked = None,
    wide: Wide = False,
    json: Json = False,
) -> None:
    """Compare two engines of one model.

    Fusions, precisions that really run, reformats, times, and why one is not faster.

    Example: assay engines fp32-layers.json int8-layers.json --profile-a fp32.json --profile-b int8.json --asked int8
    """
    from assay.runner.graphs.engine_layers import read
    from assay.runner.graphs.engine_pair import audit, matches, times, why_not_faster
    from assay.runner.reports import console
    from assay.runner.reports.tables import print_table

    left, right = read(_text(a)), read(_text(b))
    left_ms, right_ms = (times(_text(file)) if file else {} for file in (profile_a, profile_b))
    lines = [_line(match) for match in matches(left, right, left_ms, right_ms)]
    slow = why_not_faster(right, right_ms)
    checked = audit(right, asked, right_ms) if asked else None
    if json:
        told: dict[str, Any] = {"layers": lines, "why_not_faster": slow}
        console.print_json({**told, "audit": {**asdict(checked), "outcome": checked.outcome} if checked else None})
    else:
        print_table(lines, ["nodes", "A", "B", "precision", "fusion", "A ms", "B ms"], f"A {a}, B {b}", wide=wide)
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
    from assay.schema.reading import MEASURED, read_text

    return read_text(file, MEASURED, f"cannot read {file}")


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


@family.command()
def graph(
    case: Case,
    out: Annotated[Path, typer.Option("--out", help="The ONNX file to write.")],
    run: OfRun = "latest",
    suite: OfSuite = "",
    db: Db = DB,
) -> None:
    """Write a quantized file whose nodes say what they lose.

    Of a recorded ledger case; the file is to be opened in Netron.

    Example: assay graph digits/minmax --out minmax.onnx
    """
    from assay.runner.graphs.annotate import annotate
    from assay.runner.recipes.build import cached_file
    from assay.runner.suites.checks import recorded_as
    from assay.schema.queries import runs as run_queries

    if out.exists():
        raise UsageError(f"{out} is there already; name a new file.")
    with published(db) as connection:
        cases = recorded_as("ledger", run_queries.cases_of(connection, run_named(connection, run, suite)))
        found = [c for c in cases if c["name"] == case] or [c for c in cases if case in c["name"]]
        if len(found) != 1:
            what = "is not one ledger case" if found else "is no ledger case"
            raise UsageError(f"{case!r} {what} of that run.{nearest(case, [c['name'] for c in found or cases])}")
        entries = run_queries.of_case(connection, "ledger", found[0]["case_id"])
    file = cached_file(store_at(db).artifacts, str(found[0]["recipe_sha256"]))
    if not file.is_file():
        raise UsageError(f"the file of {found[0]['name']!r} is no longer kept; make it again: {found[0]['reproduce']}")
    try:
        written = annotate(file, entries, out)
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror}") from None
    print(f"{out}: {written} nodes carry what they lose")
