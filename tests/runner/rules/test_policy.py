"""Verdicts: what fails, what passes, and what says nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from assay.runner.parity.comparison import OutputComparison
from assay.runner.rules.policy import Acceptance, Limit, Policy, judge_measurement, judge_output


def judged(expected: Any, actual: Any, **policy: Any) -> Any:
    """The verdict on one output over steps given as lists of arrays."""
    rules = Policy(**policy)
    comparison = OutputComparison(rules, {})
    steps = []
    for number, (x, y) in enumerate(zip(expected, actual, strict=True)):
        steps += list(comparison.step(number, {"out": np.asarray(x)}, {"out": np.asarray(y)}))
    (merged,) = comparison.merged()
    return judge_output(rules.for_output("out"), merged, steps)


def test_a_small_error_passes_with_the_room_it_has_to_the_limit():
    verdict = judged([[1.0, 2.0]], [[1.0, 2.05]], atol=0.1, rtol=0.0)
    assert (verdict.outcome, verdict.margin) == ("pass", pytest.approx(2.0))


def test_one_element_too_far_out_fails():
    verdict = judged([[1.0, 2.0]], [[1.0, 2.5]], atol=0.1, rtol=0.0)
    assert verdict.outcome == "fail"
    assert "1 of 2 elements" in verdict.reason


@pytest.mark.parametrize(
    ("expected", "actual", "word"),
    [
        ([np.zeros((0, 2))], [np.zeros((0, 2))], "nothing was compared"),
        ([[3.0, 3.0]], [[3.0, 3.0]], "constant"),
        ([[0.0], [0.0]], [[0.0], [0.0]], "constant"),
    ],
)
def test_a_comparison_that_proves_nothing_is_vacuous(expected: Any, actual: Any, word: str):
    verdict = judged(expected, actual)
    assert verdict.outcome == "vacuous"
    assert word in verdict.reason


def test_a_constant_reference_that_the_candidate_misses_fails_all_the_same():
    assert judged([[3.0, 3.0]], [[3.0, 4.0]]).outcome == "fail"


def test_a_constant_output_may_be_declared_right():
    assert judged([[3.0, 3.0]], [[3.0, 3.0]], constant_ok=True).outcome == "pass"


def test_nan_everywhere_is_no_pass_even_where_nan_agrees():
    assert judged([[np.nan, np.nan]], [[np.nan, np.nan]], nan_equal=True).outcome == "vacuous"


@pytest.mark.parametrize(
    ("expected", "actual", "word"),
    [
        ([[1.0, 2.0]], [[np.nan, 2.0]], "NaN or infinite on one side"),
        ([[np.nan, 2.0]], [[np.nan, 2.0]], "NaN in the reference itself"),
        ([[1.0, 2.0]], [[[1.0], [2.0]]], "shape"),
        ([np.float32([1, 2])], [np.float64([1, 2])], "dtype float32 was expected, float64 came"),
    ],
)
def test_nan_shape_and_dtype_fail_with_their_reason(expected: Any, actual: Any, word: str):
    verdict = judged(expected, actual)
    assert verdict.outcome == "fail"
    assert word in verdict.reason


def test_a_missing_output_fails_and_names_what_there_is():
    comparison = OutputComparison(Policy(), {})
    (receipt,) = comparison.step(0, {"a": np.ones(2)}, {"b": np.ones(2), "c": np.ones(2)})
    assert "'a' is missing: the candidate has b, c" in receipt["problem"]


def test_acceptance_looks_at_all_steps():
    x = [np.arange(4.0)] * 20
    y = [step + (0.2 if number == 7 else 0.0) for number, step in enumerate(x)]
    assert judged(x, y, atol=0.1, rtol=0.0).outcome == "fail"
    assert judged(x, y, atol=0.1, rtol=0.0, acceptance=Acceptance(pass_rate=0.95)).outcome == "pass"
    assert judged(x, y, atol=0.1, rtol=0.0, acceptance=Acceptance(pass_rate=0.99)).outcome == "fail"
    assert judged(x, y, acceptance=Acceptance(p95_max_abs=0.1)).outcome == "pass"
    assert judged(x, y, acceptance=Acceptance(max_abs=0.1)).outcome == "fail"


def test_graded_bands_give_the_first_grade_whose_limits_hold():
    bands = [
        {"grade": "excellent", "max_rel": 1e-3},
        {"grade": "good", "max_rel": 0.1},
        {"grade": "poor", "max_rel": 9, "fails": True},
    ]
    grades = [judged([[1.0, 2.0]], [[1.0, 2.0 * f]], bands=bands) for f in (1.0001, 1.05, 1.5)]
    assert [(v.grade, v.outcome) for v in grades] == [("excellent", "pass"), ("good", "pass"), ("poor", "fail")]


def test_an_output_can_have_its_own_tolerance():
    policy = Policy(atol=1e-6, outputs={"loose": {"atol": 0.5}})
    assert (policy.for_output("loose").atol, policy.for_output("other").atol) == (0.5, 1e-6)
    assert policy.for_output("loose").rtol == 1e-4


def test_sqnr_can_be_asked_for():
    assert judged([[1.0, 2.0]], [[1.0, 2.1]], acceptance=Acceptance(max_abs=1), sqnr_db=40).outcome == "fail"


def test_limits_judge_measurements_and_nan_passes_none():
    limit = Limit(metric="latency_p50_ms", max=5)
    assert judge_measurement(limit, 4.0).outcome == "pass"
    assert judge_measurement(limit, 6.0).outcome == "fail"
    assert judge_measurement(limit, float("nan")).outcome == "fail"
    with pytest.raises(ValidationError):
        Limit(metric="latency_p50_ms")


def test_one_definition_has_one_identity():
    assert Policy(atol=1e-3).identity() == Policy(atol=0.001).identity() != Policy(atol=1e-4).identity()
