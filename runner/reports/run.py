"""A run as it ends: a table of its cases, or one JSON document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table
from rich.text import Text

from assay.runner.reports.console import COLOURS, coloured, console, interval, size
from assay.runner.reports.progress import headline, state, verdict_words
from assay.runner.run.execute import Finished
from assay.runner.run.outcome import Outcome
from assay.runner.run.rows import measurement_rows
from assay.schema.metrics import METRICS


def summary(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """Cases by status and verdicts by outcome."""
    counts: dict[str, int] = {}
    for outcome in outcomes:
        counts[outcome.status] = counts.get(outcome.status, 0) + 1
        for _, _, judgement in outcome.judgements:
            counts[f"verdict {judgement.outcome}"] = counts.get(f"verdict {judgement.outcome}", 0) + 1
    return counts


def as_document(outcome: Outcome) -> dict[str, Any]:
    """One case for `--json`."""
    return {
        "case": outcome.case.name,
        "version": outcome.version,
        "status": outcome.status,
        "error": outcome.error_message,
        "duration_s": outcome.duration_s,
        "placement": outcome.opened.get("placement"),
        "precision": outcome.opened.get("precision"),
        "verdicts": [
            {"subject": subject, "name": name, **asdict(judgement), "margin": judgement.margin}
            for subject, name, judgement in outcome.judgements
        ],
        "receipts": [receipt for receipt in outcome.receipts if receipt["step"] < 0],
        "findings": outcome.told.get("finding", []),
        "invariants": outcome.told.get("invariant", []),
        "drift": outcome.told.get("drift", []),
        "measurements": [
            {
                "metric": m.metric,
                "value": m.value,
                "low": m.low,
                "high": m.high,
                "n": m.n,
                "unit": METRICS[m.metric].unit,
            }
            for m in measurement_rows(outcome, "", "")
        ],
    }


def run_document(finished: Finished) -> dict[str, Any]:
    return {
        "run": finished.run_id,
        "exit_code": int(finished.exit_code),
        "summary": summary(finished.outcomes),
        "cases": [as_document(outcome) for outcome in finished.outcomes],
    }


_NARROW = 120
"""Below this many columns a table would cut the names of cases."""


def print_run(finished: Finished) -> None:
    """A table of the cases, or a line each on a narrow terminal; then what failed, and why."""
    target = console()
    if target.width < _NARROW:
        target.print(f"run {finished.run_id}")
        for outcome in finished.outcomes:
            target.print(Text.assemble(coloured(state(outcome)), " ", headline(outcome)))
        return
    table = Table(
        "case",
        "version",
        "status",
        "verdicts",
        "latency ms",
        "ratio",
        "size",
        title=f"run {finished.run_id}",
        title_justify="left",
    )
    for outcome in finished.outcomes:
        values = {m["metric"]: m for m in as_document(outcome)["measurements"]}
        p50, ratio = values.get("latency_p50_ms") or values.get("token_latency_p50_ms"), values.get("latency_ratio")
        words = verdict_words(outcome)
        table.add_row(
            outcome.case.name,
            outcome.version,
            coloured(state(outcome)),
            words or (outcome.error_type or ""),
            interval(p50["value"], p50["low"], p50["high"]) if p50 else "",
            interval(ratio["value"], ratio["low"], ratio["high"]) if ratio else "",
            size(outcome.artifact.bytes) if outcome.artifact else "",
        )
    target.print(table)
    for outcome in finished.outcomes:
        if (
            outcome.error_message
            or state(outcome) != "ok"
            or any(j.outcome == "waived" for _, _, j in outcome.judgements)
        ):
            target.print(headline(outcome), style=COLOURS.get("fail"), highlight=False)
