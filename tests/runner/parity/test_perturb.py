"""Other values for an array: plausible, and never the same."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from assay.runner.parity.perturb import family, fresh, others, same

KINDS = [np.float32, np.float64, np.int64, np.uint8, np.bool_]


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [
        ("float32", "float"),
        (ml_dtypes.bfloat16, "float"),
        (ml_dtypes.float8_e4m3fn, "float"),
        (ml_dtypes.int4, "integer"),
        ("uint8", "integer"),
        ("bool", "bool"),
        ("complex64", "complex"),
        ("<U3", "text"),
    ],
)
def test_every_dtype_has_a_family(dtype: Any, kind: str):
    assert family(np.zeros(2, dtype)) == kind


def test_integers_are_permuted_drawn_from_those_seen_and_halved():
    made = [array.tolist() for array in others(np.array([4, 8]), [], seed=0)]
    assert [8, 4] in made
    assert [2, 4] in made
    assert all(set(values) <= {2, 4, 8} for values in made)


def test_the_value_of_another_step_comes_first_for_what_is_no_float():
    assert next(others(np.array([4]), [np.array([4]), np.array([9])], seed=0)).tolist() == [9]


def test_bools_are_flipped_in_one_place_and_in_all():
    assert [a.tolist() for a in others(np.array([True, True]), [], seed=0)] == [[True, False], [False, False]]


def test_infinity_in_a_mask_stays_while_zeros_move():
    moved = next(others(np.array([0, -np.inf], np.float32), [], seed=0))
    assert moved[0] != 0
    assert moved[1] == -np.inf


def test_nothing_is_made_of_nothing():
    assert [*others(np.zeros((0, 3)), [], seed=0)] == []
    assert [*others(np.zeros(3, np.int64), [], seed=0)] == []


@given(st.sampled_from(KINDS).flatmap(lambda d: arrays.arrays(d, arrays.array_shapes(max_side=4))), st.integers(0, 99))
def test_what_is_made_has_the_same_shape_and_dtype_and_other_values(array: Any, seed: int):
    for other in others(array, [], seed):
        assert (other.shape, other.dtype) == (array.shape, array.dtype)
        assert not same(other, array)


@given(arrays.arrays(np.int64, arrays.array_shapes(max_side=5), elements=st.integers(-5, 5)), st.integers(0, 9))
def test_a_stranger_has_only_integers_that_were_seen(array: Any, seed: int):
    assert set(fresh(array, [], np.random.default_rng(seed)).flat) <= set(array.flat)


@given(
    arrays.arrays(np.float32, arrays.array_shapes(max_side=5), elements=st.floats(1, 100, width=32)), st.integers(0, 9)
)
def test_a_stranger_of_floats_stays_inside_what_was_seen(array: Any, seed: int):
    made = fresh(array, [], np.random.default_rng(seed))
    assert made.min() > 0
    assert made.max() <= array.max()
