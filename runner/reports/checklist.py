"""The checklist of a quantization: every item is ticked by rows, or it is not ticked. Pure: rows in, items out.

`done` is True, False, or None where the item does not apply; `evidence` says by what.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.runner.quality.thresholds import FLOAT, RETRAIN
from assay.runner.suites.checks import recorded_as
from assay.schema.metrics import LATENCY_RATIO, QUALITY_DROP_RELATIVE

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Item:
    what: str
    done: bool | None
    evidence: str


def checklist(cases: Sequence[Row], measured: Sequence[Row], findings: Sequence[Row]) -> list[Item]:
    """Items for the quality cases of a run; empty when it has none.

    `cases` as `assay.schema.queries.cases_of`, `measured` as `measurements_of`, `findings` as `findings_of`.
    """
    judged = [case for case in recorded_as("quality", cases) if case["status"] == "ok"]
    if not judged:
        return []
    floats = [case for case in judged if case["variant"] in FLOAT]
    quantized = [case for case in judged if case["variant"] not in FLOAT]
    drops = {row["name"]: row for row in measured if row["metric"] == QUALITY_DROP_RELATIVE}
    worst = [
        drops[case["name"]] for case in quantized if case["name"] in drops and drops[case["name"]]["value"] > RETRAIN
    ]
    return [
        _of(
            "A float baseline is measured on labelled data",
            floats,
            lambda case: f"{case['variant']} on {case['workload']}",
        ),
        _calibration(quantized, findings),
        _of("Quantized variants are made", quantized, lambda case: str(case["variant"])),
        _same_data(floats, quantized),
        _of(
            "What is lost is known, absolute and relative, with intervals",
            [
                drops[case["name"]]
                for case in quantized
                if case["name"] in drops and drops[case["name"]]["low"] is not None
            ],
            lambda row: f"{row['variant']} {row['value']:.2%} [{row['low']:.2%}, {row['high']:.2%}]",
        ),
        _layers(cases, worst),
        _selective(cases, worst),
        _faster(measured),
        _of(
            "Odd inputs are tried: other lengths, batches, repetition",
            [c for c in recorded_as("consistency", cases) if c["status"] == "ok"],
            lambda case: str(case["name"]),
        ),
        Item(
            "Figures and the configuration are written down",
            True,
            "this run: environment, artifacts by hash, the command of every case",
        ),
    ]


def _of(what: str, rows: Sequence[Row], words: Any) -> Item:
    named = list(dict.fromkeys(words(row) for row in rows))
    more = f" and {len(named) - 4} more" if len(named) > 4 else ""
    return Item(what, bool(named), ", ".join(named[:4]) + more if named else "no row of this run says so")


def _calibration(quantized: Sequence[Row], findings: Sequence[Row]) -> Item:
    what = "Ranges are learnt from representative data"
    learnt = [case for case in quantized if case.get("calibration")]
    if not learnt:
        return Item(what, None, "no variant learns ranges from data")
    doubts = [
        f for f in findings if f["kind"] in ("random_calibration", "calibration_not_settled", "calibration_outlier")
    ]
    if doubts:
        return Item(what, False, f"{doubts[0]['kind']}: {doubts[0]['message']}")
    names = sorted({f"{case['calibration']} ({str(case['calibration_sha256'])[:12]})" for case in learnt})
    return Item(what, True, ", ".join(names))


def _same_data(floats: Sequence[Row], quantized: Sequence[Row]) -> Item:
    what = "Quantized variants are judged on the baseline's data"
    sets = {case["workload_sha256"] for case in floats}
    others = [case["name"] for case in quantized if case["workload_sha256"] not in sets]
    if not floats or not quantized:
        return Item(what, False, "there is no pair of both")
    return Item(
        what,
        not others,
        f"{others[0]} is of other data" if others else f"{len(quantized)} cases on the same inputs by hash",
    )


def _layers(cases: Sequence[Row], worst: Sequence[Row]) -> Item:
    what = "Where more than 2 % is lost, every layer is looked at"
    if not worst:
        return Item(what, None, "no variant loses more than 2 %")
    seen = {case["variant"] for case in recorded_as("ledger", cases) if case["status"] == "ok"}
    missing = sorted({str(row["variant"]) for row in worst} - seen)
    return Item(
        what,
        not missing,
        (
            f"no ledger of {', '.join(missing)}"
            if missing
            else f"ledgers of {', '.join(sorted({str(r['variant']) for r in worst}))}"
        ),
    )


def _selective(cases: Sequence[Row], worst: Sequence[Row]) -> Item:
    what = "Selective quantization is considered where it is needed"
    if not worst:
        return Item(what, None, "no variant loses more than 2 %")
    seen = [case["name"] for case in recorded_as("sensitivity", cases) if case["status"] == "ok"]
    return Item(
        what, bool(seen), seen[0] if seen else 'no sensitivity in this run: assay search, or check = "sensitivity"'
    )


def _faster(measured: Sequence[Row]) -> Item:
    what = "The gain in speed is measured, in turns"
    ratios = [
        row
        for row in measured
        if row["metric"] == LATENCY_RATIO and row["low"] is not None and row["variant"] not in FLOAT
    ]
    return _of(
        what,
        ratios,
        lambda row: f"{row['variant']} {row['value']:.3g}x [{row['low']:.3g}, {row['high']:.3g}] of the float latency",
    )
