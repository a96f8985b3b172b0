"""`assay search`: which nodes are better left in float."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer

from assay.runner.cli.family import Family, Panel
from assay.runner.cli.options import DB, Db, Json, Suite, Wait, Wide, store_at
from assay.runner.cli.running import progress_of
from assay.runner.errors import UsageError

family = Family(Panel.MEASURE)


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


@family.command()
def search(
    suite: Suite,
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
    db: Db = DB,
    wait: Wait = 30.0,
    wide: Wide = False,
    json: Json = False,
) -> None:
    """Find the nodes that are better left in float.

    By the real metric and the real latency.

    Example: assay search digits-int8 --model digits --variant s8s8 --budget 5m
    """
    from assay.runner.investigate.search.plan import Request
    from assay.runner.investigate.search.search import search as find
    from assay.runner.reports import console
    from assay.runner.reports.tables import print_table
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
    print_table(
        [_node(node) for node in found.nodes],
        ["node", "left in float", "why"],
        "nodes, the most sensitive first",
        wide=wide,
    )
    print_table(
        [_trial(trial, found.search.metric) for trial in found.trials],
        ["trial", "order", "excluded", found.search.metric, "loss", "dB", "latency", "over fp32", ""],
        "trials",
        wide=wide,
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
