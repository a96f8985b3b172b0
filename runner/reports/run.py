"""A run as it ends: a table of its cases, or one JSON document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.text import Text

from assay.runner.reports import left_out
from assay.runner.reports.console import COLOURS, coloured, console, interval
from assay.runner.reports.progress import headline, state, verdict_words, worst_ratios
from assay.runner.reports.tables import print_table
from assay.runner.run.execute import Finished
from assay.runner.run.outcome import Outcome
from assay.runner.run.rows import measurement_rows
from assay.schema.metrics import LATENCY_P50_MS, LATENCY_RATIO, METRICS, MODEL_BYTES, TOKEN_LATENCY_P50_MS


def summary(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """Cases by what they came to, and verdicts by outcome."""
    counts: dict[str, int] = {}
    for outcome in outcomes:
        counts[state(outcome)] = counts.get(state(outcome), 0) + 1
        for _, _, judgement in outcome.judgements:
            counts[f"verdict {judgement.outcome}"] = counts.get(f"verdict {judgement.outcome}", 0) + 1
    return counts


def as_document(outcome: Outcome) -> dict[str, Any]:
    """One case for `--json`: `status` is what it came to, `ended` how its process did."""
    return {
        "case": outcome.case.name,
        "version": outcome.version,
        "status": state(outcome),
        "ended": outcome.status,
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
        **(left_out.as_document(finished.asked) if finished.asked is not None else {}),
    }


_NARROW = 120
"""Below this many columns a table would cut the names of cases."""


def print_run(finished: Finished, *, wide: bool = False) -> None:
    """A table of the cases, or a line each on a narrow terminal; then what failed, and why."""
    target = console()
    if target.width < _NARROW and not wide:
        target.print(f"run {finished.run_id}", soft_wrap=True)
        for outcome in finished.outcomes:
            target.print(Text.assemble(coloured(state(outcome)), " ", headline(outcome)), soft_wrap=True)
        return
    columns = ["case", "version", "status", "verdicts", "sqnr_db", "cosine", "latency", "ratio", MODEL_BYTES]
    print_table([_line(outcome) for outcome in finished.outcomes], columns, f"run {finished.run_id}", wide=wide)
    for outcome in finished.outcomes:
        if (
            outcome.error_message
            or state(outcome) != "ok"
            or any(j.outcome == "waived" for _, _, j in outcome.judgements)
        ):
            target.print(headline(outcome), style=COLOURS.get("fail"), soft_wrap=True)


def _line(outcome: Outcome) -> dict[str, Any]:
    values = {m["metric"]: m for m in as_document(outcome)["measurements"]}
    p50, ratio = values.get(LATENCY_P50_MS) or values.get(TOKEN_LATENCY_P50_MS), values.get(LATENCY_RATIO)
    return {
        "case": outcome.case.name,
        "version": outcome.version,
        "status": state(outcome),
        "verdicts": verdict_words(outcome) or (outcome.error_type or ""),
        **worst_ratios(outcome),
        "latency": f"{interval(p50['value'], p50['low'], p50['high'])} ms" if p50 else None,
        "ratio": interval(ratio["value"], ratio["low"], ratio["high"]) if ratio else None,
        MODEL_BYTES: outcome.artifact.bytes if outcome.artifact else None,
    }
