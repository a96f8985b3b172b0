"""`assay search`: which nodes are better left in float. `assay graph`: a file that shows what its nodes lose."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from assay.runner.cli.options import DB_DEFAULT, Db, Json, Wait, published, store_at
from assay.runner.cli.running import progress_of
from assay.runner.errors import UsageError, nearest

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """Raises UsageError: not a time such as 90s, 10m or 1.5h."""
    unit = _UNITS.get(text[-1:])
    try:
        value = float(text[:-1] if unit else text) * (unit or 1.0)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise UsageError(f"--budget is a time such as 90s, 10m or 1.5h, not {text!r}.")
    return value


def search(
    suite: Annotated[str, typer.Argument(help="A suite file, or the name of a suite that ships.")],
    model: Annotated[str, typer.Option("--model", help="A model of the suite.")],
    variant: Annotated[str, typer.Option("--variant", help="A variant of it, made by onnxruntime-static.")],
    budget: Annotated[str, typer.Option(help="Time to spend on trials: 90s, 10m, 1.5h.")] = "10m",
    max_drop: Annotated[
        float, typer.Option(min=0, max=1, help="Relative loss of the task's main metric to accept.")
    ] = 0.01,
    version: Annotated[str | None, typer.Option("--version", help="One of the model's named versions.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Use what an earlier search of the same has measured.")
    ] = False,
    db: Db = Path(DB_DEFAULT),
    wait: Wait = 30.0,
    json: Json = False,
) -> None:
    """Find the nodes that are better left in float, by the real metric and the real latency.

    Example: assay search digits-int8 --model digits --variant s8s8 --budget 5m
    """
    from assay.runner.investigate.search.plan import Request
    from assay.runner.investigate.search.search import search as find
    from assay.runner.reports import console
    from assay.runner.suites.suite import find_suite, load_suite

    path = find_suite(suite)
    request = Request(model, variant, seconds(budget), max_drop, version, resume, wait)
    with progress_of(0, request.budget_s) as progress:
        found = find(load_suite(path), path.parent.absolute(), store_at(db), suite, request, progress)
    if json:
        console.print_json(
            {
                **asdict(found.search),
                "nodes": [asdict(node) for node in found.nodes],
                "tried": [asdict(trial) for trial in found.trials],
            }
        )
        return
    console.print_table(
        [_node(node) for node in found.nodes], ["node", "left in float", "why"], "nodes, the most sensitive first"
    )
    console.print_table(
        [_trial(trial, found.search.metric) for trial in found.trials],
        ["trial", "order", "excluded", found.search.metric, "loss", "dB", "latency", "over fp32", ""],
        "trials",
    )
    print(f"nodes_to_exclude = {list(found.search.excluded)!r}".replace("'", '"'))
    print(f"{found.search.reason}; {found.search.trials} trials in {found.search.spent_s:.0f} s", file=sys.stderr)


def _node(node: Any) -> dict[str, str]:
    return {"node": node.node, "left in float": "yes" if node.excluded else "", "why": node.reason.partition(": ")[2]}


def _trial(trial: Any, metric: str) -> dict[str, str]:
    def shown(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    loss = (
        "-"
        if trial.drop_relative is None
        else f"{trial.drop_relative:.2%}"
        + ("" if trial.drop_low is None else f" [{trial.drop_low:.2%}, {trial.drop_high:.2%}]")
    )
    ratio = shown(trial.latency_ratio, ".3g") + (
        "" if trial.ratio_low is None else f" [{trial.ratio_low:.3g}, {trial.ratio_high:.3g}]"
    )
    return {
        "trial": trial.variant,
        "order": trial.origin,
        "excluded": _few(trial.excluded),
        metric: shown(trial.value, ".4f"),
        "loss": loss,
        "dB": shown(trial.sqnr_db, ".1f"),
        "latency": f"{shown(trial.latency_ms, '.4g')} ms",
        "over fp32": ratio,
        "": "chosen" if trial.chosen else "front" if trial.front else "",
    }


def _few(names: list[str]) -> str:
    """The first names of a set, and how many more there are; `--json` has them all."""
    return "-" if not names else ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")


def graph(
    case: Annotated[str, typer.Argument(help="A recorded ledger case, by its name or a part of it.")],
    out: Annotated[Path, typer.Option("--out", help="The ONNX file to write.")],
    run: Annotated[str, typer.Option("--run", help="Of which run: id, latest, version:X.")] = "latest",
    db: Db = Path(DB_DEFAULT),
) -> None:
    """Write a quantized file whose nodes say what each of their tensors loses, to be opened in Netron.

    Example: assay graph digits/minmax --out minmax.onnx
    """
    from assay.runner.graphs.annotate import annotate
    from assay.runner.recipes.build import cached_file
    from assay.runner.suites.checks import recorded_as
    from assay.schema import queries
    from assay.schema.queries.comparison import resolve

    if out.exists():
        raise UsageError(f"{out} is there already; name a new file.")
    with published(db) as connection:
        cases = recorded_as("ledger", queries.cases_of(connection, resolve(connection, run)))
        found = [c for c in cases if c["name"] == case] or [c for c in cases if case in c["name"]]
        if len(found) != 1:
            what = "is not one ledger case" if found else "is no ledger case"
            raise UsageError(f"{case!r} {what} of that run.{nearest(case, [c['name'] for c in found or cases])}")
        entries = queries.of_case(connection, "ledger", found[0]["case_id"])
    file = cached_file(store_at(db).artifacts, str(found[0]["recipe_sha256"]))
    if not file.is_file():
        raise UsageError(f"the file of {found[0]['name']!r} is no longer kept; make it again: {found[0]['reproduce']}")
    try:
        written = annotate(file, entries, out)
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror}") from None
    print(f"{out}: {written} nodes carry what they lose")
