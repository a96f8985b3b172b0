"""Accuracy fell because: each cause is concluded from rows, and a loss that no row explains says so."""

from __future__ import annotations

from typing import Any

import pytest

from assay.runner.reports.doctor.accuracy import accuracy
from assay.runner.reports.doctor.diagnosis import Diagnosis, DoctorFacts


def case(variant: str, check: str = "quality", **more: Any) -> dict[str, Any]:
    name = f"m/{variant}/onnxruntime/test/{check}"
    return {
        "case_id": name,
        "name": name,
        "model": "m",
        "model_version": "v1",
        "variant": variant,
        "check_kind": check,
        "status": "ok",
        "workload_sha256": "w",
        "calibration_sha256": "c",
        **more,
    }


def lost(variant: str, value: float, low: float | None, high: float | None) -> dict[str, Any]:
    name = f"m/{variant}/onnxruntime/test/quality"
    return {"case_id": name, "metric": "quality_drop_relative", "value": value, "low": low, "high": high, "n": 540}


def tensor(variant: str, position: int, **more: Any) -> dict[str, Any]:
    return {
        "case_id": f"m/{variant}/onnxruntime/test/ledger",
        "position": position,
        "name": f"t{position}",
        "node": f"n{position}",
        "op_type": "Conv",
        "kind": "activation",
        "sqnr_db": 40.0,
        "accumulated_sqnr_db": 38.0,
        "executed_sqnr_db": 38.0,
        **more,
    }


def told(facts: DoctorFacts) -> dict[str, Diagnosis]:
    return {one.because: one for one in accuracy(facts)}


BAD = (lost("fp32", 0.0, 0.0, 0.005), lost("bad", 0.30, 0.27, 0.33))
CASES = (case("fp32"), case("bad"), case("bad", "ledger"))


def test_a_small_loss_is_no_problem():
    assert accuracy(DoctorFacts(CASES, (lost("bad", 0.019, 0.01, 0.025),), ())) == []


def test_a_loss_whose_interval_has_zero_in_it_asks_for_more_items():
    (found,) = accuracy(DoctorFacts(CASES, (lost("bad", 0.03, -0.01, 0.07),), ()))
    assert found.because == "there are too few items to say that it did"
    assert found.evidence == "3.0% [-1.0%, 7.0%] lost on 540 items: nothing lost is not excluded"


def test_a_loss_that_nothing_explains_says_what_to_measure():
    (found,) = accuracy(DoctorFacts(CASES[:2], BAD, ()))
    assert (found.because, found.subject) == ("not explained", "m/bad/onnxruntime/test/quality")
    assert 'check = "ledger"' in found.remedy


@pytest.mark.parametrize(
    ("kind", "because"),
    [
        ("random_calibration", "ranges were learnt from numbers that were drawn"),
        ("calibration_outlier", "one calibration batch decides the ranges"),
        ("clipped", "values lie beyond the ranges that were learnt"),
    ],
)
def test_what_was_found_of_its_calibration_explains_it(kind: str, because: str):
    finding = {
        "name": "m/bad/onnxruntime/test/ledger",
        "model_version": "v1",
        "kind": kind,
        "subject": "s",
        "severity": "warning",
        "message": "how it was seen",
    }
    other = {**finding, "model_version": "v0", "message": "of another version"}
    found = told(DoctorFacts(CASES, BAD, (finding, other)))
    assert list(found) == [because]
    assert found[because].evidence == "30.0% [27.0%, 33.0%] lost; how it was seen"


def test_kernels_are_named_where_they_lose_what_the_codes_keep():
    tensors = (tensor("bad", 0), tensor("bad", 1, accumulated_sqnr_db=33.0, executed_sqnr_db=13.0))
    found = told(DoctorFacts(CASES, BAD, (), tensors))
    kernels = found["the kernels lose what the codes keep: they saturate or round"]
    assert "t1: 33.0 dB with exact products, 13.0 dB as executed" in kernels.evidence
    assert "reduce_range" in kernels.remedy


def test_poor_tensors_are_named_the_worst_first_and_a_weight_with_a_good_product_is_not():
    tensors = (
        tensor("bad", 0, sqnr_db=12.0),
        tensor("bad", 1, sqnr_db=5.0),
        tensor("bad", 2, sqnr_db=3.0, kind="weight", node="awq"),
        tensor("bad", 3, sqnr_db=None, kind="output", node="awq", accumulated_sqnr_db=32.0, executed_sqnr_db=32.0),
        tensor("bad", 4, sqnr_db=1.0, kind="bias"),
    )
    found = told(DoctorFacts(CASES, BAD, (), tensors))["2 tensors do not fit into their codes"]
    assert "t1 (activation of Conv n1) 5.0 dB, t0 (activation of Conv n0) 12.0 dB" in found.evidence


def test_the_place_is_named_where_the_signal_is_lost():
    tensors = (tensor("bad", 0), tensor("bad", 1, accumulated_sqnr_db=11.0, executed_sqnr_db=11.0, op_type="Softmax"))
    found = told(DoctorFacts(CASES, BAD, (), tensors))["the signal is lost at Softmax n1"]
    assert found.evidence.endswith("t0: 38.0 dB; next t1: 11.0 dB, 40.0 dB by itself")


def test_the_node_is_named_that_alone_makes_the_difference():
    name = "m/bad/onnxruntime/test/sensitivity"
    rows = [
        {"case_id": name, "position": -1, "node": "", "op_type": "", "without_sqnr_db": 12.0},
        {"case_id": name, "position": 0, "node": "a", "op_type": "Conv", "without_sqnr_db": 12.5},
        {"case_id": name, "position": 1, "node": "b", "op_type": "Add", "without_sqnr_db": 21.0},
    ]
    found = told(DoctorFacts((*CASES, case("bad", "sensitivity")), BAD, (), (), rows))
    assert 'nodes_to_exclude = ["b"]' in found["Add b does not bear it"].remedy


def test_another_way_of_quantizing_that_keeps_it_clears_the_model():
    good = (*BAD, lost("good", 0.001, -0.001, 0.003))
    found = told(DoctorFacts((*CASES, case("good")), good, ()))
    way = found["of the way of quantizing, not of the model"]
    assert way.evidence.endswith("good loses 0.1% [-0.1%, 0.3%] on the same items, with the same calibration data")
    elsewhere = told(DoctorFacts((*CASES, case("good", workload_sha256="other")), good, ()))
    assert list(elsewhere) == ["not explained"]


def test_a_loss_of_one_class_names_it():
    rows = [
        {
            "case_id": "m/bad/onnxruntime/test/quality",
            "metric": "recall",
            "class_name": c,
            "value": v,
            "reference_value": 0.9,
            "n": 50,
        }
        for c, v in (("cat", 0.2), ("dog", 0.89))
    ]
    assert (
        "falls from 0.900 to 0.200 (50 labels)"
        in told(DoctorFacts(CASES, BAD, (), (), (), rows))["of one class: cat"].evidence
    )
