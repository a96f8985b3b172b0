"""Outputs that are far off, and no measure of the task: the doctor says so, and claims nothing that nobody measured."""

from __future__ import annotations

import math
from typing import Any

from assay.runner.reports.doctor.diagnosis import DoctorFacts
from assay.runner.reports.doctor.outputs import nothing, outputs


def case(variant: str, check: str = "parity") -> dict[str, Any]:
    name = f"m/{variant}/{check}"
    return {
        "case_id": name,
        "name": name,
        "model": "m",
        "model_version": "v1",
        "variant": variant,
        "check_kind": check,
        "status": "ok",
    }


def receipt(
    sqnr: float | None, variant: str = "int8", dtype: str = "float32", output: str = "logits"
) -> dict[str, Any]:
    return {**case(variant), "output": output, "sqnr_db": sqnr, "cosine": 0.93, "expected_dtype": dtype}


def figure(metric: str, variant: str, check: str) -> dict[str, Any]:
    return {"case_id": f"m/{variant}/{check}", "metric": metric, "value": 0.9}


def test_outputs_at_8_db_are_told_where_quality_was_not_measured():
    rows = (receipt(19.0, output="embedding"), receipt(8.06))
    (found,) = outputs(DoctorFacts([case("int8")], (), (), receipts=rows))
    assert (found.problem, found.because) == ("outputs differ", "outputs at 8 dB; quality not measured")
    assert found.evidence == "logits 8.1 dB (cosine 0.93), embedding 19.0 dB (cosine 0.93)"
    assert 'check = "quality"' in found.remedy


def test_where_quality_was_measured_it_decides():
    cases = [case("int8"), case("int8", "quality")]
    measured = [figure("quality_drop_relative", "int8", "quality")]
    assert outputs(DoctorFacts(cases, measured, (), receipts=[receipt(8.0)])) == []


def test_good_outputs_whole_numbers_and_float_variants_are_no_problem():
    rows = [receipt(20.0), receipt(math.inf), receipt(None), receipt(3.0, dtype="int64"), receipt(3.0, "fp16")]
    assert outputs(DoctorFacts([case("int8"), case("fp16")], (), (), receipts=rows)) == []


def test_nothing_to_diagnose_claims_what_was_measured_and_names_what_was_not():
    said = nothing(DoctorFacts([case("int8")], (), (), receipts=[receipt(32.06)]))
    assert said == (
        "nothing to diagnose: no output of a quantized variant is below 20 dB (the least: 32.1 dB);"
        ' not measured: quality (check = "quality"), speed (check = "benchmark")'
    )
    assert nothing(DoctorFacts([case("fp32")], (), ())) == "nothing to diagnose: the run has no quantized variant"


def test_a_run_with_both_measures_claims_both():
    cases = [case("int8", "quality"), case("int8", "benchmark")]
    measured = [figure("quality_drop_relative", "int8", "quality"), figure("latency_ratio", "int8", "benchmark")]
    assert nothing(DoctorFacts(cases, measured, ())) == (
        "nothing to diagnose: no quantized variant whose quality was measured lost more than 2 %,"
        " and none that was timed against float is slower"
    )
