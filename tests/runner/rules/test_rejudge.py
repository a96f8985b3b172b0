"""Judging stored receipts by another policy agrees with judging the arrays, or says that it cannot know."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.runner.parity.comparison import OutputComparison
from assay.runner.rules.policy import Policy, judge_output
from assay.runner.rules.rejudge import rejudge, violations_under


def receipts(steps: list[tuple[Any, Any]], policy: Policy) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    comparison = OutputComparison(policy, {})
    told = [
        r
        for number, (x, y) in enumerate(steps)
        for r in comparison.step(number, {"out": np.asarray(x)}, {"out": np.asarray(y)})
    ]
    (merged,) = comparison.merged()
    return merged, told


STRICT = Policy(atol=1e-4, rtol=0.0)


@pytest.mark.parametrize(
    ("policy", "outcome"),
    [
        ({"atol": 0.2, "rtol": 0.0}, "pass"),
        ({"atol": 0.05, "rtol": 0.0}, "fail"),
        ({"atol": 1e-6, "rtol": 0.0}, "fail"),
        ({"rule": "exact"}, "fail"),
        ({"rule": "either", "atol": 0.0, "rtol": 0.11}, "pass"),
        ({"atol": 0.0, "rtol": 1.0, "acceptance": {"max_abs": 0.05}}, "fail"),
        ({"atol": 0.0, "rtol": 1.0, "acceptance": {"max_abs": 0.5}}, "pass"),
        ({"atol": 0.2, "rtol": 0.0, "acceptance": {"pass_rate": 1.0}}, "pass"),
        ({"bands": [{"grade": "good", "max_rel": 0.5}]}, "pass"),
    ],
)
def test_what_the_receipt_decides_is_decided(policy: dict[str, Any], outcome: str):
    merged, steps = receipts([([1.0, 2.0], [1.1, 2.0]), ([3.0, 4.0], [3.0, 4.1])], STRICT)
    assert rejudge(Policy(**policy), merged, steps).outcome == outcome


def test_what_the_receipt_cannot_decide_is_unknown_and_says_between_what():
    merged, steps = receipts([([100.0, 1.0], [100.5, 1.4])], STRICT)
    verdict = rejudge(Policy(atol=0.0, rtol=0.1), merged, steps)
    assert verdict.outcome == "unknown"
    assert "between 0 and 2 of 2" in verdict.reason


def test_the_same_policy_comes_to_the_same_verdict():
    merged, steps = receipts([([1.0, 2.0], [1.1, 2.0])], STRICT)
    assert rejudge(STRICT, merged, steps) == judge_output(STRICT.for_output("out"), merged, steps)


values = st.lists(st.floats(-8, 8, width=32), min_size=1, max_size=6)
limits = st.sampled_from([0.0, 1e-6, 1e-3, 0.01, 0.1, 1.0])
rules = st.sampled_from(["mixed", "either", "exact"])


@settings(max_examples=300, deadline=None)
@given(values, values, rules, limits, limits, rules, limits, limits)
def test_the_bounds_hold_the_number_that_the_arrays_give(
    x: Any, y: Any, old: Any, a: float, r: float, new: Any, b: float, q: float
):
    size = min(len(x), len(y))
    pair = (np.array(x[:size], np.float32), np.array(y[:size], np.float32))
    merged, _ = receipts([pair], Policy(rule=old, atol=a, rtol=r))
    wanted = Policy(rule=new, atol=b, rtol=q)
    truth, _ = receipts([pair], wanted)
    low, high = violations_under(merged, wanted.for_output("out"))
    assert low <= truth["violations"] <= high
