"""Outputs of quantized variants that are far from float, where nobody measured what that costs. Pure."""

from __future__ import annotations

import math

from assay.runner.quality.thresholds import FLOAT, POOR_DB
from assay.runner.reports.doctor.diagnosis import Diagnosis, DoctorFacts, Row, family, few
from assay.runner.suites.checks import recorded_as
from assay.schema.metrics import LATENCY_RATIO, QUALITY_DROP_RELATIVE

_MEASURE = 'add check = "quality" for this variant, with labelled data: only the task says whether that is bad'


def outputs(facts: DoctorFacts) -> list[Diagnosis]:
    """A diagnosis for each quantized case whose outputs are below 20 dB, and whose quality is not in the run."""
    families = {case["case_id"]: family(case) for case in facts.cases}
    measured = {families.get(row["case_id"]) for row in facts.measured if row["metric"] == QUALITY_DROP_RELATIVE}
    by_case: dict[str, list[Row]] = {}
    for row in facts.receipts:
        if row["variant"] not in FLOAT and families.get(row["case_id"]) not in measured and _decibels(row) < POOR_DB:
            by_case.setdefault(row["case_id"], []).append(row)
    made = []
    for rows in by_case.values():
        rows.sort(key=_decibels)
        words = [f"{row['output']} {_decibels(row):.1f} dB{_cosine(row)}" for row in rows]
        because = f"outputs at {_decibels(rows[0]):.0f} dB; quality not measured"
        made.append(Diagnosis("outputs differ", rows[0]["name"], because, few(words), _MEASURE))
    return made


def _decibels(row: Row) -> float:
    """The signal-to-noise ratio of a float output; infinite where there is none to be poor."""
    known = row["sqnr_db"] is not None and "float" in str(row["expected_dtype"])
    return float(row["sqnr_db"]) if known else math.inf


def _cosine(row: Row) -> str:
    return "" if row["cosine"] is None else f" (cosine {row['cosine']:.3g})"


def nothing(facts: DoctorFacts) -> str:
    """What the absence of a diagnosis means: only what was measured was found to be right."""
    quantized = [case for case in facts.cases if case["variant"] not in FLOAT]
    if not quantized:
        return "nothing to diagnose: the run has no quantized variant"
    ids = {case["case_id"] for case in quantized}
    found, missing = [], []
    if any(row["metric"] == QUALITY_DROP_RELATIVE and row["case_id"] in ids for row in facts.measured):
        found.append("no quantized variant whose quality was measured lost more than 2 %")
    elif known := [_decibels(row) for row in facts.receipts if row["case_id"] in ids]:
        found.append(f"no output of a quantized variant is below {POOR_DB:g} dB (the least: {min(known):.1f} dB)")
        missing.append('quality (check = "quality")')
    else:
        missing.append('quality (check = "quality")')
    if any(row["metric"] == LATENCY_RATIO and row["case_id"] in ids for row in facts.measured):
        found.append("none that was timed against float is slower")
    elif recorded_as("benchmark", quantized):
        missing.append("speed against float (time both in one table)")
    else:
        missing.append('speed (check = "benchmark")')
    said = "nothing to diagnose" + (f": {', and '.join(found)}" if found else "")
    return said + (f"; not measured: {', '.join(missing)}" if missing else "")
