"""What is in force for an output: who named what, and of which dtype the reference is."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from assay.runner.rules.policies import shipped_policies
from assay.runner.rules.policy import Policy
from assay.runner.rules.tolerance import Acceptance, is_logits, is_whole

WHOLE = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "int4", "uint4", "bool", "str96")
FLOAT = ("float16", "float32", "float64", "bfloat16", "float8_e4m3fn", "complex64", None)


@pytest.mark.parametrize("dtype", WHOLE)
def test_a_policys_distances_never_apply_to_whole_numbers(dtype: str):
    policy = Policy(rule="either", atol=100.0, rtol=0.5, cosine=0.9, acceptance=Acceptance(violations=0.5))
    found = policy.for_output("ids", dtype)
    assert (found.rule, found.atol, found.rtol, found.cosine, found.acceptance) == ("exact", 0, 0, None, None)
    assert found.words() == "exact"


def test_an_entry_of_its_own_says_how_far_whole_numbers_may_be_apart_in_units():
    policy = Policy(outputs={"codes": {"atol": 1, "rtol": 0.5}, "ids": {"rtol": 0.5}, "flags": {"atol": 1}})
    codes = policy.for_output("codes", "uint8")
    assert (codes.rule, codes.atol, codes.rtol, codes.words()) == ("mixed", 1, 0, "within 1 unit")
    assert policy.for_output("ids", "int64").rule == "exact", "a share of a token id is no distance"
    assert policy.for_output("flags", "bool").rule == "exact", "there is nothing between two bools"


def test_what_a_policy_says_that_is_no_distance_holds_for_whole_numbers_too():
    policy = Policy(same_dtype=False, constant_ok=True, ignore="why", acceptance=Acceptance(least_steps=9, max_abs=4))
    found = policy.for_output("lengths", "int64")
    assert (found.same_dtype, found.constant_ok, found.ignore) == (False, True, "why")
    assert found.acceptance == Acceptance(least_steps=9), "what makes a stream long enough is asked of every output"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"cosine": 0.99}, "cosine at least 0.99"),
        ({"sqnr_db": 20, "cosine": 0.99}, "sqnr_db at least 20; cosine at least 0.99"),
        ({"bands": [{"grade": "good", "max_rel": 1}]}, "bands good"),
        ({"acceptance": {"max_abs": 3}}, "acceptance max_abs 3"),
        ({"cosine": 0.99, "atol": 0.1}, "mixed atol 0.1, rtol 0.0001; cosine at least 0.99"),
        ({"cosine": 0.99, "rule": "exact"}, "exact; cosine at least 0.99"),
        ({"acceptance": {"max_abs": 3}, "rtol": 0.1}, "acceptance max_abs 3; mixed atol 1e-05, rtol 0.1"),
        ({"acceptance": {"pass_rate": 0.9}}, "acceptance pass_rate 0.9 (counted by mixed atol 1e-05, rtol 0.0001)"),
        ({"acceptance": {"least_steps": 5}}, "acceptance least_steps 5; mixed atol 1e-05, rtol 0.0001"),
        ({}, "mixed atol 1e-05, rtol 0.0001"),
    ],
)
def test_a_limit_given_alone_replaces_the_default_rule_and_the_words_say_what_is_asked(asked: dict, words: str):
    assert Policy(**asked).for_output("y", "float32").words() == words
    assert Policy(outputs={"y": asked}).for_output("y", "float32").words() == words


def test_a_limit_of_one_output_stands_beside_a_rule_that_the_policy_names():
    policy = Policy(atol=1e-3, outputs={"y": {"cosine": 0.9}})
    assert policy.for_output("y").words() == "mixed atol 0.001, rtol 0.0001; cosine at least 0.9"


def test_a_model_is_compared_with_itself_by_the_rule_for_elements_whatever_an_artifact_is_forgiven():
    policy = Policy(sqnr_db=5, acceptance=Acceptance(max_abs=100), outputs={"codes": {"cosine": 0.5}}).with_itself()
    assert policy.for_output("y").words() == "mixed atol 1e-05, rtol 0.0001"
    assert policy.for_output("codes", "uint8").words() == "exact"
    assert policy.for_output("y").nan_equal


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"rule": "order"}, "rule order needs `by`"),
        ({"rule": "angle"}, "rule angle needs `period`"),
        ({"rule": "tokens"}, "rule tokens needs `end`"),
        ({"period": 360}, "`period` belongs to rule angle, not to the default rule"),
        ({"rule": "set", "by": "scores"}, "`by` belongs to rule order and boxes, not to set"),
        ({"rule": "boxes", "by": "boxes", "iou": 0.5}, "stand in the entry of the boxes"),
    ],
)
def test_an_entry_that_does_not_make_sense_says_what_is_missing_or_too_much(entry: dict, says: str):
    with pytest.raises(ValidationError, match=says):
        Policy(outputs={"y": entry})


def test_a_rule_of_the_field_belongs_in_an_outputs_own_entry():
    with pytest.raises(ValidationError, match="belongs in an output's own entry"):
        Policy(rule="set")


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        *(
            (name, True)
            for name in ("logits", "logits_per_image", "start_logits", "log_probs", "probabilities", "softmax_1")
        ),
        *(
            (name, False)
            for name in ("boxes", "last_hidden_state", "embedding", "scores", "probe", "prologue", "output")
        ),
    ],
)
def test_an_outputs_name_says_whether_it_is_logits(name: str, is_one: bool):
    assert is_logits(name) is is_one


def test_top_1_is_asked_of_logits_and_of_what_an_entry_names_and_of_nothing_else():
    policy = Policy(top1=0.9, outputs={"y": {"top1": 0.5}})
    asked = {name: policy.for_output(name, "float32").top1 for name in ("logits", "y", "embedding")}
    assert asked == {"logits": 0.9, "y": 0.5, "embedding": None}
    assert policy.for_output("embedding").words() == "mixed atol 1e-05, rtol 0.0001", "nothing else was asked of it"


def test_the_shipped_int8_policy_judges_the_answer_and_no_single_element():
    policy = shipped_policies()["int8"]
    assert (
        policy.for_output("logits", "float32").words()
        == "sqnr_db at least 20; cosine at least 0.99; top1 at least 0.98"
    )
    assert policy.for_output("embedding", "float32").words() == "sqnr_db at least 20; cosine at least 0.99"
    assert policy.for_output("ids", "int64").words() == "exact"


def test_a_policy_says_all_that_it_asks():
    policy = Policy(
        atol=0.1, outputs={"i": {"rule": "order", "by": "s"}}, limits=[{"metric": "latency_p50_ms", "max": 5}]
    )
    assert policy.words() == (
        "outputs of floats: mixed atol 0.1, rtol 0.0001; outputs of whole numbers: exact;"
        " i: order by s, axis -1, atol 0.1, rtol 0.0001; latency_p50_ms: max 5"
    )
    assert ("outputs named as logits or probabilities", "top1 at least 0.9") in Policy(top1=0.9).asks()


@given(
    st.sampled_from(
        [np.dtype(kind) for kind in "bBhHiIlLqQ?efdFD"] + [np.dtype(ml_dtypes.bfloat16), np.dtype(ml_dtypes.int4)]
    )
)
def test_whole_is_what_numpy_counts(dtype: np.dtype):
    assert is_whole(dtype.name) == (dtype.kind in "iub" or dtype.name in ("int4", "uint4"))


def test_of_a_dtype_that_is_not_known_nothing_is_assumed():
    assert not any(is_whole(name) for name in FLOAT)
    assert all(is_whole(name) for name in WHOLE)
