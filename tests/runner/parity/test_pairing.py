"""Orders, sets, angles, boxes and sequences: who is compared with whom, what is accounted for, and what breaks the rule."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.runner.errors import UsageError
from assay.runner.parity.comparison import OutputComparison
from assay.runner.rules.policy import Policy, judge_output
from assay.runner.rules.rejudge import rejudge

Arrays = dict[str, Any]


class Step:
    """One step of some outputs under a policy's entries."""

    def __init__(self, expected: Arrays, actual: Arrays, **entries: Any) -> None:
        self.policy = Policy(outputs=entries)
        sides = [{name: np.asarray(array) for name, array in side.items()} for side in (expected, actual)]
        comparison = OutputComparison(self.policy, {})
        told = list(comparison.step(0, *sides))
        self.steps = {receipt["output"]: receipt for receipt in told}
        self.merged = {receipt["output"]: receipt for receipt in comparison.merged()}

    def outcome(self, name: str) -> str:
        merged = self.merged[name]
        return judge_output(self.policy.for_output(name, merged["expected_dtype"]), merged, [self.steps[name]]).outcome

    def told(self, name: str) -> tuple[str, str]:
        return self.outcome(name), self.merged[name]["detail"]


ORDER = {"i": {"rule": "order", "by": "s"}}


def ranked(scores: list[float], expected: list[int], actual: list[int], came: list[float] | None = None) -> Step:
    """Scores (the same on both sides unless `came` says otherwise) with the indices of each side."""
    sides = [{"s": [scores], "i": [expected]}, {"s": [scores if came is None else came], "i": [actual]}]
    return Step(*sides, **ORDER)


def test_indices_of_equal_scores_may_come_in_any_order():
    step = ranked([0.9, 0.5, 0.5, 0.1], [7, 3, 4, 9], [7, 4, 3, 9])
    assert step.told("i") == ("pass", "2 of 4 indices differ, all among equal scores")
    receipt = step.merged["i"]
    assert (receipt["elements"], receipt["violations"], receipt["rule"]) == (4, 0, "order by s, axis -1")


def test_indices_of_unequal_scores_may_not():
    step = ranked([0.9, 0.5, 0.4, 0.1], [7, 3, 4, 9], [7, 4, 3, 9])
    assert step.told("i") == ("fail", "2 of 4 indices differ, all without a tie")
    assert (step.merged["i"]["violations"], step.merged["i"]["first_failing_index"]) == (2, [0, 0, 1])


def test_scores_within_their_own_rule_are_equal_and_are_counted_apart():
    step = ranked([0.9, 0.5, 0.4999999, 0.1], [7, 3, 4, 9], [7, 4, 3, 9])
    assert step.told("i") == (
        "pass",
        "2 of 4 indices differ, all among scores within mixed atol 1e-05, rtol 0.0001 of each other",
    )


def test_an_index_from_outside_is_a_tie_at_the_cut_alone_and_is_said_to_be_unproven():
    step = ranked([0.9, 0.5, 0.5], [7, 3, 4], [7, 3, 8])
    assert step.told("i") == (
        "pass",
        "1 of 3 indices differ, all at the cut, with the score of the last one kept (unproven)",
    )
    assert ranked([0.9, 0.5, 0.5], [7, 3, 4], [8, 3, 4]).outcome("i") == "fail", "0.9 is not the last score kept"


@pytest.mark.parametrize("actual", [[7, 3, 3], [7, 7, 3], [7, 3, -1]])
def test_an_index_that_comes_twice_or_is_negative_is_no_tie(actual: list[int]):
    assert ranked([0.9, 0.5, 0.5], [7, 3, 4], actual).outcome("i") == "fail"


def test_a_better_one_that_did_not_come_is_missed():
    step = ranked([0.9, 0.7, 0.5], [7, 3, 4], [7, 4, 8], came=[0.9, 0.5, 0.5])
    assert step.outcome("i") == "fail"


def test_where_all_scores_are_an_output_a_tie_at_the_cut_is_proven():
    scores = [[0.5, 0.9, 0.5, 0.1]]
    entries = {"i": {"rule": "order", "by": "all"}}
    step = Step({"all": scores, "i": [[1, 0]]}, {"all": scores, "i": [[1, 2]]}, **entries)
    assert step.told("i") == ("pass", "1 of 2 indices differ, all among equal scores")
    for wrong in ([1, 3], [1, 1], [1, 4]):
        assert Step({"all": scores, "i": [[1, 0]]}, {"all": scores, "i": [wrong]}, **entries).outcome("i") == "fail"


def test_a_class_that_was_picked_by_an_argmax_may_be_another_with_the_same_logit():
    entries = {"y": {"rule": "order", "by": "logits"}}
    logits = np.array([[1.0, 3.0, 3.0], [5.0, 1.0, 2.0]])
    assert Step({"logits": logits, "y": [1, 0]}, {"logits": logits, "y": [2, 0]}, **entries).outcome("y") == "pass"
    assert Step({"logits": logits, "y": [1, 0]}, {"logits": logits, "y": [1, 2]}, **entries).outcome("y") == "fail"


def test_what_was_gathered_is_compared_by_its_index():
    scores, boxes = [[0.5, 0.5, 0.5]], np.arange(12.0).reshape(1, 3, 4)
    entries = {**ORDER, "b": {"rule": "order", "by": "i"}}
    there = {"s": scores, "i": [[1, 2, 3]], "b": boxes}
    turned = {"s": scores, "i": [[2, 1, 8]], "b": boxes[:, [1, 0, 2]]}
    step = Step(there, turned, **entries)
    assert step.told("b") == (
        "pass",
        "2 of 3 stand elsewhere and were compared by their index; 1 left out, whose index is on one side only",
    )
    assert (step.merged["b"]["elements"], step.merged["b"]["skipped"]) == (8, 4)
    wrong = {**turned, "b": boxes}
    assert Step(there, wrong, **entries).outcome("b") == "fail", "the boxes of 1 and 2 are exchanged"


def test_a_companion_that_does_not_exist_is_an_error_that_names_the_nearest():
    with pytest.raises(UsageError, match=r"goes by 'score'.*Did you mean 'scores'"):
        Step({"scores": [1.0], "i": [0]}, {"scores": [1.0], "i": [0]}, i={"rule": "order", "by": "score"})


@settings(max_examples=100, deadline=None)
@given(st.integers(2, 40), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_an_argsort_whose_ties_are_shuffled_passes_and_one_exchanged_pair_of_unequal_scores_fails(
    size: int, levels: int, seed: int
):
    rng = np.random.default_rng(seed)
    raw = rng.integers(0, levels, size).astype(np.float32)
    expected = np.argsort(-raw, kind="stable")
    actual = np.lexsort((rng.random(size), -raw))
    scores = raw[expected]
    step = Step({"s": scores, "i": expected}, {"s": scores, "i": actual}, **ORDER)
    differ = int((expected != actual).sum())
    assert step.merged["i"]["violations"] == 0
    assert step.merged["i"]["detail"].startswith(f"{differ} of {size} indices differ")
    a, b = rng.integers(0, size, 2)
    if scores[a] != scores[b]:
        actual[[a, b]] = actual[[b, a]]
        assert Step({"s": scores, "i": expected}, {"s": scores, "i": actual}, **ORDER).outcome("i") == "fail"


# Sets


def test_a_set_may_come_in_any_order_and_has_to_be_the_same():
    entry = {"y": {"rule": "set"}}
    step = Step({"y": [[1, 2, 2, 9]]}, {"y": [[2, 9, 1, 2]]}, **entry)
    assert step.told("y") == ("pass", "4 of 4 stand elsewhere, which does not count")
    step = Step({"y": [[1, 2, 2, 9]]}, {"y": [[2, 9, 1, 1]]}, **entry)
    assert (step.outcome("y"), step.merged["y"]["violations"]) == ("fail", 1)


def test_rows_stay_whole_where_the_axis_is_not_the_last():
    points = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    entry = {"y": {"rule": "set", "axis": 0, "atol": 0.1}}
    assert Step({"y": points}, {"y": points[[2, 0, 1]] + 0.05}, **entry).outcome("y") == "pass"
    mixed = np.array([[0.0, 3.0], [2.0, 1.0], [4.0, 5.0]])
    assert Step({"y": points}, {"y": mixed}, **entry).merged["y"]["violations"] == 2


@settings(max_examples=80, deadline=None)
@given(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=20), st.integers(0, 2**32 - 1))
def test_any_order_of_any_values_is_the_same_set_and_one_more_is_not(values: list[float], seed: int):
    x = np.array(values, np.float32)
    y = np.random.default_rng(seed).permutation(x)
    entry = {"y": {"rule": "set", "atol": 0.0, "rtol": 0.0}}
    assert Step({"y": x}, {"y": y}, **entry).merged["y"]["violations"] == 0
    y[0] += np.float32(256)
    assert Step({"y": x}, {"y": y}, **entry).merged["y"]["violations"] == 1


# Angles


@pytest.mark.parametrize(
    ("period", "expected", "actual", "error"),
    [
        (360.0, 359.5, 0.5, 1.0),
        (360.0, 0.5, 359.5, 1.0),
        (360.0, 10.0, 370.0, 0.0),
        (360.0, 10.0, 730.0, 0.0),
        (360.0, 0.0, 180.0, 180.0),
        (2 * math.pi, math.pi, -math.pi, 0.0),
    ],
)
def test_an_angle_differs_by_the_shorter_way_round(period: float, expected: float, actual: float, error: float):
    entry = {"y": {"rule": "angle", "period": period}}
    step = Step({"y": [expected, 90.0]}, {"y": [actual, 90.0]}, **entry)
    assert step.merged["y"]["max_abs"] == pytest.approx(error, abs=1e-12)
    assert step.outcome("y") == ("pass" if error < 1e-5 else "fail")


@settings(max_examples=100, deadline=None)
@given(st.floats(-720, 720), st.floats(-720, 720), st.integers(-3, 3))
def test_whole_turns_change_no_difference_of_angles_and_none_is_beyond_half_a_turn(x: float, y: float, turns: int):
    entry = {"y": {"rule": "angle", "period": 360.0}}
    one, other = (Step({"y": [x]}, {"y": [side]}, **entry).merged["y"]["max_abs"] for side in (y, y + 360 * turns))
    assert one == pytest.approx(other, abs=1e-9)
    assert one <= 180 + 1e-9


# Boxes

BOXES = np.array([[0.0, 0, 10, 10], [20, 20, 30, 30], [50, 50, 60, 60]])
DETECTED = {
    "boxes": {"rule": "boxes", "atol": 1.0, "classes": "labels"},
    "scores": {"rule": "boxes", "by": "boxes"},
    "labels": {"rule": "boxes", "by": "boxes"},
}


def detections(order: list[int], boxes: Any = BOXES) -> Arrays:
    scores, labels = np.array([0.9, 0.8, 0.7], np.float32), np.array([1, 2, 3])
    return {"boxes": np.asarray(boxes)[order], "scores": scores[order], "labels": labels[order]}


def test_boxes_are_compared_with_their_partners_and_what_belongs_to_them_too():
    step = Step(detections([0, 1, 2]), detections([2, 0, 1], BOXES + 0.5), **DETECTED)
    assert [step.outcome(name) for name in ("boxes", "scores", "labels")] == ["pass"] * 3
    assert step.merged["boxes"]["detail"] == (
        "3 of 3 boxes paired, 3 of them stand elsewhere; 0 expected and 0 that came have no partner"
    )
    assert step.merged["boxes"]["max_abs"] == 0.5


def test_a_box_without_a_partner_breaks_the_rule_on_either_side():
    fewer = Step(detections([0, 1, 2]), detections([2, 0]), **DETECTED)
    assert (fewer.outcome("boxes"), fewer.merged["boxes"]["violations"], fewer.merged["boxes"]["elements"]) == (
        "fail",
        4,
        12,
    )
    assert fewer.merged["boxes"]["first_failing_index"] == [0, 1, 0]
    more = Step(detections([0, 1]), detections([0, 1, 2]), **DETECTED)
    assert (more.outcome("boxes"), more.merged["boxes"]["violations"]) == ("fail", 4)


def test_no_box_on_both_sides_proves_nothing_and_one_on_one_side_fails():
    assert Step(detections([]), detections([]), **DETECTED).outcome("boxes") == "vacuous"
    assert Step(detections([]), detections([0]), **DETECTED).outcome("boxes") == "fail"


def test_boxes_of_another_class_are_no_partners():
    other = {**detections([0, 1, 2]), "labels": np.array([1, 2, 2])}
    step = Step(detections([0, 1, 2]), other, **DETECTED)
    assert (step.outcome("boxes"), step.merged["boxes"]["violations"]) == ("fail", 8)


@pytest.mark.parametrize("form", ["xywh", "cxcywh"])
def test_boxes_may_be_written_otherwise(form: str):
    corner = BOXES[:, :2] if form == "xywh" else (BOXES[:, :2] + BOXES[:, 2:]) / 2
    written = np.concatenate([corner, BOXES[:, 2:] - BOXES[:, :2]], axis=1)
    entry = {"boxes": {"rule": "boxes", "format": form}}
    assert Step({"boxes": written}, {"boxes": written[[1, 2, 0]]}, **entry).outcome("boxes") == "pass"


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_any_order_of_boxes_that_hardly_overlap_is_the_same_detection(count: int, seed: int):
    rng = np.random.default_rng(seed)
    corner = np.arange(count)[:, None] * 100 + rng.uniform(0, 20, (count, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(5, 50, (count, 2))], axis=1)
    entry = {"boxes": {"rule": "boxes"}}
    assert Step({"boxes": boxes}, {"boxes": rng.permutation(boxes)}, **entry).merged["boxes"]["violations"] == 0


# Sequences

TOKENS = {"t": {"rule": "tokens", "end": 2}}


def test_what_follows_the_end_of_a_sequence_does_not_count():
    step = Step({"t": [[5, 6, 2, 0], [7, 2, 0, 0]]}, {"t": [[5, 6, 2, 9], [7, 2, 2, 2]]}, **TOKENS)
    assert step.told("t") == ("pass", "5 tokens up to the end of 2 sequences; 3 places after the end did not count")


def test_sequences_may_be_padded_to_different_lengths():
    assert Step({"t": [[5, 6, 2, 0, 0]]}, {"t": [[5, 6, 2]]}, **TOKENS).outcome("t") == "pass"
    assert Step({"t": [[5, 6, 2]]}, {"t": [[5, 6, 2, 0, 0]]}, **TOKENS).outcome("t") == "pass"


@pytest.mark.parametrize(
    ("expected", "actual", "violations"),
    [
        ([5, 6, 2, 0], [5, 7, 2, 0], 1),
        ([5, 6, 2, 0], [5, 6, 6, 2], 1),
        ([5, 6, 7], [5, 6], 1),
        ([5, 6, 7], [5, 6, 7, 8, 2], 2),
        ([5, 6, 2], [5, 2, 0], 2),
    ],
)
def test_a_sequence_is_exact_up_to_its_end(expected: list[int], actual: list[int], violations: int):
    step = Step({"t": [expected]}, {"t": [actual]}, **TOKENS)
    assert (step.outcome("t"), step.merged["t"]["violations"]) == ("fail", violations)


def test_a_rule_that_is_not_for_these_arrays_fails_and_says_why():
    cases = (
        ({"y": [1.0]}, {"y": {"rule": "tokens", "end": 2}}, "rule tokens is for whole numbers"),
        ({"y": [1.0], "s": [1.0]}, {"y": {"rule": "order", "by": "s"}}, "rule order by scores is for indices"),
        ({"y": [1.0]}, {"y": {"rule": "boxes"}}, "boxes are (..., n, 4)"),
        ({"y": [[1, 2]], "s": [1.0]}, {"y": {"rule": "order", "by": "s"}}, "do not fit to indices"),
    )
    for arrays, entries, says in cases:
        assert says in Step(arrays, arrays, **entries).merged["y"]["problem"]


# Judging what is recorded again


def again(step: Step, name: str, **entry: Any) -> str:
    return rejudge(Policy(outputs={name: entry}), step.merged[name], [step.steps[name]]).outcome


def test_a_receipt_is_judged_again_by_the_rule_that_it_was_made_under_and_by_no_other():
    step = ranked([0.9, 0.5, 0.5, 0.1], [7, 3, 4, 9], [7, 4, 3, 9])
    assert again(step, "i", rule="order", by="s") == "pass"
    assert again(step, "i", rule="exact") == again(step, "i", rule="set") == "unknown"
    plain = Step({"s": [1.0], "i": [3, 4]}, {"s": [1.0], "i": [4, 3]})
    assert again(plain, "i", rule="set") == "unknown"


def test_where_nothing_differed_it_is_right_under_every_rule():
    equal = Step({"y": [3, 4]}, {"y": [3, 4]})
    assert again(equal, "y", rule="set") == again(equal, "y", rule="tokens", end=4) == "pass"


def test_an_angle_is_judged_again_by_another_tolerance():
    step = Step({"y": [359.5, 90.0]}, {"y": [0.5, 90.0]}, y={"rule": "angle", "period": 360, "atol": 2.0})
    assert step.outcome("y") == "pass"
    assert again(step, "y", rule="angle", period=360, atol=1.5) == "pass"
    assert again(step, "y", rule="angle", period=360, atol=0.5) == "fail"
    assert again(step, "y", rule="angle", period=180, atol=2.0) == "unknown"


# Top-1


def test_top_1_is_counted_in_rows_and_a_tie_of_the_reference_is_the_same_place():
    x = np.array([[1.0, 3.0, 2.0], [5.0, 5.0, 0.0], [0.0, 1.0, 2.0], [0.0, 1.0, 2.0]])
    y = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 0.0], [0.0, 1.0, 2.0], [0.0, 1.0, 2.0]])
    step = Step({"logits": x}, {"logits": y}, logits={"top1": 0.75})
    assert step.told("logits") == ("pass", "top-1 the same in 3 of 4 rows")
    assert again(step, "logits", top1=0.75) == "pass"
    assert again(step, "logits", top1=0.8) == "fail"
    assert again(Step({"logits": x}, {"logits": y}), "logits", top1=0.5) == "unknown"


def test_one_class_has_no_top_1_and_the_other_limits_decide():
    step = Step({"logits": [[1.0], [2.0]]}, {"logits": [[1.0], [2.1]]}, logits={"top1": 0.9, "cosine": 0.9})
    assert step.outcome("logits") == "pass"
