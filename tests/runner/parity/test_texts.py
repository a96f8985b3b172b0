"""Text and complex numbers in a comparison: exactly, and as pairs of reals."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.runner.parity.comparison import OutputComparison
from assay.runner.parity.pairs import as_pairs, going_on
from assay.runner.rules.policy import Judgement, Policy, judge_output


def judged(*steps: tuple[Any, Any], masks: Any = None, **policy: Any) -> tuple[Judgement, dict[str, Any]]:
    """The verdict on the only output, and its receipt over all steps."""
    asked = Policy.model_validate(policy)
    compared = OutputComparison(asked, {})
    told = [r for i, (x, y) in enumerate(steps) for r in compared.step(i, {"y": x}, {"y": y}, masks)]
    (merged,) = compared.merged()
    return judge_output(asked.for_output("y"), merged, told), merged


def words(*said: str) -> Any:
    return np.array([*said, None], object)[:-1]


def test_equal_labels_pass_and_their_receipt_has_counts_and_no_figures():
    verdict, merged = judged((words("cat", "dog"), np.array(["cat", "dog"])))
    assert (verdict.outcome, verdict.reason, verdict.rule) == ("pass", "2 texts are equal", "exact")
    assert (merged["elements"], merged["violations"], merged["expected_dtype"]) == (2, 0, "string")
    assert [merged[name] for name in ("max_abs", "sqnr_db", "cosine", "worst_expected", "worst_pair")] == [None] * 5


def test_one_other_label_fails_whatever_the_tolerance_and_the_pair_is_kept():
    verdict, merged = judged(
        (words("cat", "dog"), words("cat", "dog")), (words("cat", "dög"), words("cat", "dog")), atol=1e9, sqnr_db=10.0
    )
    assert verdict.outcome == "fail"
    assert verdict.reason == "1 of 4 texts (25.00%) differ: 'dög' was expected, 'dog' came"
    assert (merged["worst_index"], merged["first_failing_index"]) == ([1, 1], [1, 1])
    assert json.loads(merged["worst_pair"]) == ["dög", "dog"]


def test_agreeing_on_one_label_everywhere_proves_nothing_over_all_steps():
    same, other = (words("cat", "cat"),) * 2, (words("dog", "dog"),) * 2
    assert judged(same, same)[0].outcome == "vacuous"
    assert judged(same, same, constant_ok=True)[0].outcome == "pass"
    assert judged(same, other)[0].outcome == "pass"
    assert judged((words("cat"), words("cat")))[0].outcome == "pass"  # a single element could not vary


def test_no_text_at_all_is_vacuous_and_what_is_masked_does_not_count():
    assert judged((words(), words()))[0].outcome == "vacuous"
    verdict, merged = judged((words("a", "b", "c"), words("a", "b", "x")), masks={"y": np.array([True, True, False])})
    assert (verdict.outcome, merged["elements"], merged["skipped"]) == ("pass", 2, 1)


@pytest.mark.parametrize("sides", [(words("1"), np.ones(1)), (np.ones(1), words("1"))])
def test_text_is_never_compared_with_numbers(sides: Any):
    verdict, _ = judged(sides)
    assert verdict.outcome == "fail"
    assert "text and numbers cannot be compared" in verdict.reason


def test_a_share_of_the_labels_may_differ_where_the_policy_says_so():
    sides = (words("a", "b", "c", "d"), words("a", "b", "c", "x"))
    assert judged(sides, acceptance={"violations": 0.25})[0].outcome == "pass"
    assert judged(sides, acceptance={"violations": 0.2})[0].outcome == "fail"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3)), max_size=12), st.integers(0, 12))
def test_texts_in_two_steps_count_like_texts_in_one(pairs: list[tuple[str, str]], cut: int):
    def sides(some: list[tuple[str, str]]) -> tuple[Any, Any]:
        return words(*(pair[0] for pair in some)), words(*(pair[1] for pair in some))

    whole, parts = judged(sides(pairs)), judged(sides(pairs[:cut]), sides(pairs[cut:]))
    differ = sum(a != b for a, b in pairs)
    for verdict, merged in (whole, parts):
        assert (merged["elements"], merged["violations"]) == (len(pairs), differ)
        assert merged["worst_pair"] == whole[1]["worst_pair"]
        assert verdict.outcome == whole[0].outcome


def test_a_complex_reference_is_compared_with_its_export_of_real_pairs():
    right = np.array([[1 + 2j, 3 - 1j]], np.complex64)
    export = np.array([[[1, 2], [3, -1]]], np.float32)
    np.testing.assert_array_equal(as_pairs(right), export)
    verdict, merged = judged((right, export))
    assert (verdict.outcome, merged["elements"], merged["expected_dtype"]) == ("pass", 4, "float32")
    export[0, 1, 1] = 1
    verdict, merged = judged((right, export))
    assert (verdict.outcome, merged["violations"], merged["worst_index"]) == ("fail", 1, [0, 0, 1, 1])


def test_two_complex_sides_are_compared_and_an_imaginary_part_is_never_dropped():
    right = np.array([1 + 1j, 2], np.complex64)
    assert judged((right, right.copy()))[0].outcome == "pass"
    assert judged((right, right.conj()))[0].outcome == "fail"
    assert "float64 came" in judged((right, right.astype(np.complex128)))[0].reason


def test_a_real_output_of_another_shape_is_no_complex_one():
    verdict, _ = judged((np.array([1 + 1j, 2], np.complex64), np.array([1, 2], np.float32)))
    assert (verdict.outcome, verdict.reason) == ("fail", "step 0: shape (2, 2) was expected, (2,) came")


def test_valid_lengths_mask_complex_numbers_as_wholes():
    right, left = np.array([1 + 2j, 5j], np.complex64), np.array([1 + 2j, 7j], np.complex64)
    verdict, merged = judged((right, left), masks={"y": np.array([True, False])})
    assert (verdict.outcome, merged["elements"], merged["skipped"]) == ("pass", 2, 2)


def test_a_sequence_that_goes_on_after_the_references_end_fails():
    assert going_on(["boxes.0", "boxes.1"], ["boxes.0", "boxes.1"]) == {}
    assert going_on(["x"], ["x", "x.1", "other.0"]) == {}
    one, two = {"boxes.0": np.arange(2.0)}, {"boxes.0": np.arange(2.0), "boxes.1": np.arange(2.0)}
    compared = OutputComparison(Policy(), {})
    list(compared.step(0, one, two))
    (merged,) = compared.merged()
    assert "goes on with 'boxes.1' in the candidate" in merged["problem"]
