"""Whole numbers: any single unit fails, floats are not touched by that, and a receipt shows every digit."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.runner.parity.compare import tally
from assay.runner.parity.comparison import OutputComparison
from assay.runner.rules.policy import Judgement, Policy, judge_output
from assay.runner.rules.rejudge import rejudge

INTEGERS = [np.dtype(kind) for kind in ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")]
LOOSE = {"atol": 10.0, "rtol": 0.1}


def compared(x: Any, y: Any, policy: Policy) -> tuple[dict[str, Any], Judgement]:
    """The merged receipt of one step of one output `ids`, and its verdict."""
    comparison = OutputComparison(policy, {})
    steps = list(comparison.step(0, {"ids": np.asarray(x)}, {"ids": np.asarray(y)}))
    (merged,) = comparison.merged()
    return merged, judge_output(policy.for_output("ids", merged["expected_dtype"]), merged, steps)


def test_token_ids_off_by_one_fail_and_say_which_in_all_digits():
    merged, verdict = compared([50256, 31000, 12], [50257, 31000, 12], Policy())
    assert (verdict.outcome, verdict.rule) == ("fail", "exact")
    assert verdict.reason == "1 of 3 elements (33.33%) differ, the most: 50256 was expected, 50257 came"
    assert (merged["rule"], merged["atol"], merged["rtol"]) == ("exact", 0.0, 0.0)
    assert json.loads(merged["worst_pair"]) == ["50256", "50257"]


def test_seconds_since_1970_off_by_a_hundred_fail():
    assert compared([1_790_000_000], [1_790_000_100], Policy(**LOOSE))[1].outcome == "fail"


def test_beyond_what_a_double_holds_every_digit_is_shown():
    merged, verdict = compared([2**62 + 5, 7], [2**62, 7], Policy())
    assert json.loads(merged["worst_pair"]) == ["4611686018427387909", "4611686018427387904"]
    assert (merged["max_abs"], verdict.outcome) == (5.0, "fail")


def test_the_worst_pair_of_all_steps_is_of_the_step_it_stands_in():
    comparison = OutputComparison(Policy(), {})
    for step, actual in enumerate(([1, 2], [1, 9], [3, 2])):
        list(comparison.step(step, {"ids": np.array([1, 2])}, {"ids": np.array(actual)}))
    (merged,) = comparison.merged()
    assert (merged["worst_index"], json.loads(merged["worst_pair"])) == ([1, 1], ["2", "9"])


def test_floats_keep_no_pair_as_text():
    assert compared([1.0], [2.0], Policy())[0]["worst_pair"] is None


def test_bools_are_compared_exactly_whatever_a_policy_allows():
    policy = Policy(**LOOSE, outputs={"ids": {"atol": 1}})
    assert compared([True, False], [True, True], policy)[1].outcome == "fail"
    assert compared([True, False], [True, False], policy)[1].outcome == "pass"


def test_codes_of_a_quantized_graph_may_be_a_unit_apart_where_their_entry_says_so():
    own = Policy(outputs={"ids": {"atol": 1}})
    codes = np.array([0, 200, 255], np.uint8)
    assert compared(codes, np.array([1, 199, 255], np.uint8), own)[1].outcome == "pass"
    merged, verdict = compared(codes, np.array([2, 200, 255], np.uint8), own)
    assert (verdict.outcome, verdict.rule, merged["atol"]) == ("fail", "within 1 unit", 1.0)
    assert "differ by more than 1" in verdict.reason


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (np.array([2**53 + 1], np.int64), np.array([2.0**53])),
        (np.array([2**64 - 1], np.uint64), np.array([-1], np.int64)),
        (np.array([2**63], np.uint64), np.array([-(2**63)], np.int64)),
        (np.array([2**60], np.int64), np.array([2**60 + 1], np.uint64)),
        (np.array([5], np.int64), np.array([5.5])),
    ],
)
def test_another_dtype_on_the_other_side_is_no_way_round(expected: Any, actual: Any):
    assert compared(expected, actual, Policy(same_dtype=False))[1].outcome == "fail"


def test_the_same_values_in_another_dtype_pass_where_that_is_allowed():
    left, right = np.array([1, 2**62], np.int64), np.array([1, 2**62], np.uint64)
    assert compared(left, right, Policy(same_dtype=False))[1].outcome == "pass"
    assert "dtype int64 was expected, uint64 came" in compared(left, right, Policy())[1].reason


def test_large_integers_that_differ_from_each_other_are_no_constant():
    values = np.array([2**62 + 5, 2**62 + 7])
    assert compared(values, values, Policy())[1].outcome == "pass"
    assert "constant (4611686018427387904)" in compared([2**62] * 2, [2**62] * 2, Policy())[1].reason


def test_a_mask_of_zero_and_minus_infinity_is_no_constant():
    mask = np.triu(np.full((3, 3), -np.inf, np.float32), 1)
    assert compared(mask, mask, Policy())[1].outcome == "pass"
    other = mask.copy()
    other[0, 1] = 0
    assert compared(mask, other, Policy())[1].outcome == "fail"


def arrays(dtype: np.dtype) -> st.SearchStrategy[list[int]]:
    ends = np.iinfo(dtype)
    return st.lists(st.integers(int(ends.min), int(ends.max)), min_size=1, max_size=12)


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(INTEGERS), st.sampled_from(["mixed", "either", "exact"]))
def test_any_single_unit_fails_in_every_integer_dtype_under_every_rule(data: Any, dtype: np.dtype, rule: str):
    values = data.draw(arrays(dtype))
    place = data.draw(st.integers(0, len(values) - 1))
    ends = np.iinfo(dtype)
    changed = values.copy()
    changed[place] += 1 if values[place] < ends.max else -1
    x, y = np.array(values, dtype), np.array(changed, dtype)
    policy = Policy(rule=rule, **LOOSE)
    merged, verdict = compared(x, y, policy)
    assert (verdict.outcome, merged["violations"], merged["worst_index"]) == ("fail", 1, [0, place])
    assert json.loads(merged["worst_pair"]) == [str(values[place]), str(changed[place])]
    same = compared(x, x, Policy(rule=rule, constant_ok=True, **LOOSE))[1]
    assert same.outcome == "pass"


@settings(max_examples=100, deadline=None)
@given(st.data(), st.sampled_from(INTEGERS), st.integers(1, 5), st.integers(0, 9))
def test_an_entry_in_units_allows_just_so_many(data: Any, dtype: np.dtype, units: int, apart: int):
    value = data.draw(st.integers(int(np.iinfo(dtype).min) + 9, int(np.iinfo(dtype).max) - 9))
    x, y = np.array([value, 0], dtype), np.array([value + data.draw(st.sampled_from([-1, 1])) * apart, 0], dtype)
    verdict = compared(x, y, Policy(outputs={"ids": {"atol": units, "constant_ok": True}}))[1]
    assert verdict.outcome == ("pass" if apart <= units else "fail")


@settings(max_examples=100, deadline=None)
@given(st.data(), st.sampled_from(INTEGERS), st.integers(0, 4), st.integers(0, 4))
def test_a_receipt_of_whole_numbers_is_judged_again_as_the_arrays_are(data: Any, dtype: np.dtype, old: int, new: int):
    values = np.array(data.draw(st.lists(st.integers(9, 100), min_size=1, max_size=8)), dtype)
    moved = (
        values.astype(np.int64) + data.draw(st.lists(st.integers(-6, 6), min_size=values.size, max_size=values.size))
    ).astype(dtype)
    before, after = (Policy(outputs={"ids": {"atol": units, "constant_ok": True}}) for units in (old, new))
    merged, _ = compared(values, moved, before)
    again = rejudge(after, merged, [])
    assert again.outcome in (compared(values, moved, after)[1].outcome, "unknown")
    if new in (0, 1):
        assert again.outcome != "unknown", "octaves tell 0, 1 and more apart"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=40), st.sampled_from(["mixed", "either", "exact"]))
def test_floats_go_by_the_rule_they_are_given_in_both_kernels(values: list[float], rule: str):
    x = np.array(values, np.float32)
    y = np.nextafter(x, np.float32(np.inf))
    policy = Policy(rule=rule, atol=1e-3, rtol=1e-3, constant_ok=True)
    assert compared(x, y, policy)[1].outcome == ("fail" if rule == "exact" else "pass")
    kernel = policy.for_output("y", "float32").kernel()
    counts = {tally(x, y, compiled=c, **kernel).violations for c in (False, True)}
    assert counts == {x.size if rule == "exact" else 0}


def test_without_a_rule_for_elements_both_kernels_count_what_is_not_finite_and_nothing_else():
    kernel = Policy(cosine=0.9).for_output("y", "float32").kernel()
    x, y = np.array([1.0, np.nan, 3.0], np.float32), np.array([900.0, 1.0, -3e38], np.float32)
    assert {tally(x, y, compiled=c, **kernel).violations for c in (False, True)} == {1}
