"""The `--summary-json` file: parity by output and step, in the shape that streaming harnesses write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from assay.runner.errors import UsageError
from assay.runner.run.execute import Finished
from assay.runner.run.outcome import Outcome, is_main
from assay.runner.suites.checks import CHECKS
from assay.schema import documents


def write_summary(finished: Finished, path: Path) -> None:
    """A summary of every parity case by output and step, in the shape that streaming harnesses write.

    `failed_chunks` counts steps in which any output is outside its tolerance; `mode`, `steps` and, by output,
    `pass_rate`
    and the largest `max_abs` and `max_rel` with their step.

    Raises:
        UsageError: the file cannot be written.
    """
    document = {
        "run": finished.run_id,
        "cases": [_case_summary(o) for o in finished.outcomes if CHECKS[o.case.check].streams],
    }
    try:
        path.write_text(documents.strict(documents.document(document), indent=1))
    except OSError as error:
        raise UsageError(f"--summary-json {path}: {error.strerror}.") from None


def _case_summary(outcome: Outcome) -> dict[str, Any]:
    steps: dict[int, list[dict[str, Any]]] = {}
    for receipt in outcome.receipts:
        if receipt["step"] >= 0 and is_main(receipt):
            steps.setdefault(receipt["step"], []).append(receipt)
    broken = [number for number, receipts in steps.items() if any(r["violations"] or r["problem"] for r in receipts)]
    return {
        "case": outcome.case.name,
        "version": outcome.version,
        "mode": outcome.case.mode,
        "backend": outcome.case.backend,
        "provider": outcome.opened.get("placement"),
        "total_chunks": len(steps),
        "failed_chunks": len(broken),
        "first_failed_chunk": min(broken, default=None),
        "error": outcome.error_message,
        "outputs": {
            name: _output_summary([r for rs in steps.values() for r in rs if r["output"] == name])
            for name in dict.fromkeys(r["output"] for rs in steps.values() for r in rs)
        },
        "verdicts": {
            name: {"outcome": j.outcome, "reason": j.reason}
            for subject, name, j in outcome.judgements
            if subject == "parity"
        },
        "invariants": outcome.told.get("invariant", []),
        "drift": outcome.told.get("drift", []),
        "chunks": [
            {
                "chunk": number,
                **{
                    r["output"]: {
                        key: r[key] for key in ("max_abs", "mean_abs", "max_rel", "elements", "skipped", "violations")
                    }
                    for r in receipts
                },
            }
            for number, receipts in steps.items()
        ],
    }


def _output_summary(receipts: list[dict[str, Any]]) -> dict[str, Any]:
    known = [r for r in receipts if r["max_abs"] is not None]
    worst = max(known, key=lambda r: r["max_abs"], default=None)
    return {
        "pass_rate": sum(r["violations"] == 0 and r["elements"] > 0 for r in receipts) / len(receipts),
        "max_abs": worst and worst["max_abs"],
        "max_abs_chunk": worst and worst["step"],
        "max_rel": max((r["max_rel"] for r in known), default=None),
        "elements_compared": sum(r["elements"] for r in receipts),
        "elements_skipped": sum(r["skipped"] for r in receipts),
        "atol": receipts[0]["atol"],
        "rtol": receipts[0]["rtol"],
        "rule": receipts[0]["rule"],
    }
