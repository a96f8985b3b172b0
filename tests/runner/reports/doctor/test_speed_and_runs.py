"""It is not faster because, and two runs differ because: from rows, or it says that no row explains it."""

from __future__ import annotations

from typing import Any

from assay.runner.reports.doctor.diagnosis import DoctorFacts
from assay.runner.reports.doctor.runs import RunSide, differences
from assay.runner.reports.doctor.speed import speed


def case(variant: str = "int8", **more: Any) -> dict[str, Any]:
    return {
        "case_id": variant,
        "name": f"m/{variant}",
        "model": "m",
        "model_version": "v1",
        "variant": variant,
        "check_kind": "benchmark",
        "status": "ok",
        "workload_sha256": "w",
        "calibration_sha256": "c",
        "threads": 2,
        "provider": "CPU",
        "placement": "cpu",
        "model_sha256": "f",
        **more,
    }


def ratio(variant: str, value: float, low: float, high: float) -> dict[str, Any]:
    return {"case_id": variant, "metric": "latency_ratio", "value": value, "low": low, "high": high}


def test_a_variant_that_is_faster_needs_no_explanation():
    assert speed(DoctorFacts([case()], [ratio("int8", 0.6, 0.5, 0.7)], [])) == []


def test_one_that_is_not_faster_is_explained_by_its_profile():
    finding = {
        "name": "m/int8",
        "model_version": "v1",
        "kind": "why_not_faster",
        "subject": "DequantizeLinear",
        "severity": "warning",
        "message": "12 conversions between types take 40% of the time (DequantizeLinear)",
    }
    (found,) = speed(DoctorFacts([case()], [ratio("int8", 1.3, 1.2, 1.4)], [finding, {**finding, "severity": "note"}]))
    assert (found.problem, found.because) == ("not faster", "DequantizeLinear")
    assert (
        found.evidence
        == "1.3x [1.2, 1.4] of the float latency; 12 conversions between types take 40% of the time (DequantizeLinear)"
    )
    assert found.remedy.startswith("quantize what lies between")


def test_without_a_profile_it_says_what_to_measure():
    (found,) = speed(DoctorFacts([case()], [ratio("int8", 1.0, 0.9, 1.1)], []))
    assert (found.because, 'check = "profile"' in found.remedy) == ("not explained", True)


def side(top1: float, findings: tuple[Any, ...] = (), **more: Any) -> RunSide:
    measured = [{"name": "m/int8", "metric": "top1", "value": top1}]
    return RunSide([case(**more)], measured, [], findings)


def test_runs_that_answer_alike_have_no_diagnosis():
    assert differences(side(0.9), side(0.9), {"onnxruntime": ("1.30", "1.31")}) == []


def test_everything_that_is_recorded_as_other_is_named():
    (found,) = differences(
        side(0.9, calibration_sha256="d", model_sha256="g"), side(0.8), {"onnxruntime": ("1.30", "1.31")}
    )
    assert found.subject == "m/int8"
    assert (
        found.because
        == "ranges were learnt from other data (c -> d); another environment: onnxruntime 1.30 -> 1.31; another file of"
        " the same version (f -> g)"
    )
    assert found.evidence == "top1 0.8 -> 0.9"


def test_a_case_that_only_one_run_has_is_no_difference():
    assert differences(side(0.9, name="m/other"), side(0.8), {}) == []


def test_where_nothing_differs_but_the_answer_it_is_not_deterministic():
    (found,) = differences(side(0.9), side(0.8), {})
    assert found.because == "nothing that is recorded differs (file, inputs, host, libraries): it is not deterministic"
    assert "consistency" in found.remedy


def test_a_model_that_was_seen_to_answer_twice_differently_is_the_evidence():
    seen = {"name": "m/int8", "kind": "not_repeatable", "message": "0.3 apart in 'y'"}
    (found,) = differences(side(0.9, (seen,)), side(0.8), {})
    assert found.because == "the same file answers the same inputs in two ways: 0.3 apart in 'y'"


def test_errors_are_compared_where_there_is_no_metric():
    def parity(error: float | None, outcome: str) -> RunSide:
        return RunSide([case()], [], [{"name": "m/int8", "output": "y", "max_abs": error, "outcome": outcome}], ())

    (found,) = differences(parity(None, "fail"), parity(1e-6, "pass"), {"cpu_model": ("A", "B")})
    assert found.evidence == "y: max_abs 1e-06 (pass) -> not finite (fail)"
    assert found.because == "another environment: cpu_model A -> B"


def test_a_slow_variant_is_told_which_other_of_the_same_turns_is_faster():
    cases = [case("dyn"), case("stat"), case("other", model="another")]
    ratios = [ratio("dyn", 19.3, 13.6, 27.3), ratio("stat", 0.28, 0.2, 0.35), ratio("other", 0.1, 0.1, 0.2)]
    found = {
        "name": "m/dyn",
        "model_version": "v1",
        "kind": "why_not_faster",
        "subject": "ConvInteger",
        "severity": "warning",
        "message": "3 convolutions run as ConvInteger",
    }
    (one,) = speed(DoctorFacts(cases, ratios, [found]))
    assert one.because == "ConvInteger"
    assert one.remedy == (
        'recipe = "onnxruntime-static" with calibration data of its own; stat of this run is 3.57 times as fast as float'
    )
