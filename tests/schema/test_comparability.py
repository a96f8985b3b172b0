"""What two figures have to share: parts that differ are named, parts that one side never recorded are no difference."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from assay.schema.comparability import key_of, not_recorded, parts_of, unlike

ASKED = {"model": "m", "workload": "w:1", "mode": "benchmark", "hardware": "h", "device": "cpu"}
OLD = "model=m; workload=w:1; mode=benchmark; hardware=h; device=cpu; threads=default"
"""As release 0.5 wrote it."""


def key(threads: int = 2, affinity: str = "0-1", **variables: str) -> str:
    return key_of({**ASKED, "threads": threads, "affinity": affinity}, variables)


def test_other_threads_and_the_variable_behind_them_are_both_named():
    assert unlike(key(1, OMP_NUM_THREADS="1"), key(2, OMP_NUM_THREADS="2")) == (
        "threads: 1 against 2; OMP_NUM_THREADS: 1 against 2"
    )


def test_a_variable_that_one_side_did_not_set_is_a_difference():
    assert unlike(key(), key(OMP_WAIT_POLICY="active")) == "OMP_WAIT_POLICY: unset against active"
    assert unlike(key(OMP_WAIT_POLICY="active"), key()) == "OMP_WAIT_POLICY: active against unset"


def test_other_cpus_are_a_difference_although_they_are_as_many():
    assert unlike(key(affinity="0-1"), key(affinity="2-3")) == "affinity: 0-1 against 2-3"


def test_a_row_from_before_threads_were_read_is_like_a_new_one_and_what_it_lacks_is_named():
    new = key(2, OMP_NUM_THREADS="2")
    assert unlike(OLD, new) == unlike(new, OLD) == ""
    assert not_recorded(OLD, new) == {"a": ["affinity", "threads", "variables"]}
    assert not_recorded(new, OLD) == {"b": ["affinity", "threads", "variables"]}


def test_an_old_row_that_asked_for_threads_differs_from_a_new_one_with_others():
    assert unlike(OLD.replace("default", "4"), key(2)) == "threads: 4 against 2"


def test_old_rows_are_told_apart_as_before():
    assert unlike(OLD, OLD.replace("hardware=h", "hardware=other")) == "hardware: h against other"
    assert unlike(OLD, OLD) == ""
    assert not_recorded(OLD, OLD) == {}


def test_a_value_may_hold_what_separates_parts():
    odd = {"GOMP_CPU_AFFINITY": "0 1; 2", "KMP_AFFINITY": "granularity=fine,compact"}
    assert parts_of(key(**odd))["KMP_AFFINITY"] == "granularity=fine,compact"
    assert unlike(key(**odd), key(**odd)) == ""
    assert "GOMP_CPU_AFFINITY: 0 1, 2 against unset" in unlike(key(**odd), key())


VARIABLES = st.dictionaries(st.sampled_from(["OMP_NUM_THREADS", "MKL_CBWR", "LD_PRELOAD"]), st.text("01;= ax"))


@given(VARIABLES, VARIABLES)
def test_two_keys_are_unlike_exactly_where_a_variable_is_other(a: dict[str, str], b: dict[str, str]):
    written = [{name: value.replace(";", ",") for name, value in side.items()} for side in (a, b)]
    assert (unlike(key(**a), key(**b)) == "") == (written[0] == written[1])
