"""Inputs are drawn by their dtype, within their bounds, and the same for the same seed."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from assay.runner.tensors import dtype_named
from assay.runner.workloads.asked import Inputs, Workload
from assay.runner.workloads.drawing import draw

MANY = [64, 32]


def drawn(seed: int = 0, **keys: Any) -> Any:
    return draw(Inputs.model_validate({"shape": MANY, **keys}), np.random.default_rng(seed))


def test_float_inputs_without_bounds_draw_what_they_always_did():
    """Hand-written as release 0.5.0 drew them: a seed of an old suite is the same data."""
    normal = np.random.default_rng(3).standard_normal((64, 32))
    for dtype in ("float32", "float64", "float16"):
        assert np.array_equal(drawn(3, dtype=dtype), normal.astype(dtype))
    assert np.array_equal(drawn(3, dtype="bfloat16"), normal.astype(ml_dtypes.bfloat16))
    assert np.array_equal(drawn(3, scale=5.0), (normal * 5).astype("float32"))
    uniform = np.random.default_rng(3).uniform(1.0, 2.0, (64, 32)).astype("float32")
    assert np.array_equal(drawn(3, distribution="uniform", low=1.0, high=2.0), uniform)
    assert np.array_equal(
        drawn(3, distribution="uniform"), np.random.default_rng(3).random((64, 32), "float64").astype("float32")
    )
    ids = np.random.default_rng(3).integers(0, 1024, (64, 32))
    assert np.array_equal(drawn(3, dtype="int64", distribution="integers", high=1024), ids)
    assert not drawn(distribution="zeros").any()


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "int8", "uint16", "int4", "uint64"])
def test_integers_are_drawn_as_whole_numbers_of_both_ends(dtype: str):
    assert set(np.unique(drawn(dtype=dtype, low=0, high=3)).tolist()) == {0, 1, 2}


def test_integers_without_a_range_are_0_and_1_and_bytes_take_all_values():
    assert set(drawn(dtype="int64").ravel().tolist()) == {0, 1}
    assert set(drawn(dtype="int32", distribution="uniform").ravel().tolist()) == {0, 1}
    images = draw(Inputs(shape=(100_000,), dtype="uint8"), np.random.default_rng(0))
    assert (images.min(), images.max()) == (0, 255)
    audio = draw(Inputs(shape=(100_000,), dtype="int8"), np.random.default_rng(0))
    assert (audio.min(), audio.max()) == (-128, 127)


@pytest.mark.parametrize("keys", [{}, {"distribution": "uniform"}, {"low": 0, "high": 1}, {"distribution": "normal"}])
def test_bools_have_both_values(keys: dict[str, Any]):
    for seed in range(20):
        flags = draw(Inputs.model_validate({"shape": [2], "dtype": "bool", **keys}), np.random.default_rng(seed))
        assert (flags.dtype, sorted(flags.tolist())) == (np.bool_, [False, True])


def test_bounds_are_kept_whatever_the_distribution():
    assert 2.0 <= drawn(low=2.0, high=3.0).min() <= drawn(low=2.0, high=3.0).max() <= 3.0
    cut = drawn(distribution="normal", scale=10.0, low=-1.0, high=1.0)
    assert (cut.min(), cut.max()) == (-1.0, 1.0)
    assert drawn(low=-4.0).min() < -3


def test_constants_tokens_and_masks_by_kind():
    assert (drawn(distribution="ones") == 1).all()
    assert (drawn(value=2.5) == 2.5).all()
    assert math.isnan(drawn(value=math.nan).ravel()[0])
    ids = drawn(vocabulary=7)
    assert (ids.dtype.name, set(ids.ravel().tolist())) == ("int64", set(range(7)))
    assert set(drawn(distribution="tokens", vocabulary=7, low=3, dtype="int32").ravel().tolist()) == {3, 4, 5, 6}
    mask = drawn(distribution="mask")
    lengths = mask.sum(axis=1)
    assert mask.dtype.name == "int64"
    assert np.array_equal(mask, np.arange(32) < lengths[:, None])
    assert len(set(lengths.tolist())) > 10
    assert drawn(distribution="mask", dtype="bool").dtype.name == "bool"


def test_narrow_floats_stay_finite_and_complex_numbers_have_both_parts():
    for dtype in ("float8_e4m3fn", "float8_e5m2", "float16"):
        assert np.isfinite(drawn(dtype=dtype, scale=1e6).astype("float64")).all()
    assert np.unique(drawn(dtype="float8_e4m3fn").astype("float64")).size > 20
    parts = drawn(dtype="complex64")
    assert (parts.real.std() > 0.5, parts.imag.std() > 0.5) == (True, True)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"low": 3.0, "high": 1.0}, "nothing lies from low = 3 up to high = 1"),
        ({"low": 5.0}, "nothing lies from low = 5 up to high = 1"),
        ({"dtype": "int64", "low": 0.5, "high": 3}, "low = 0.5 is no whole number"),
        ({"dtype": "uint8", "low": 0, "high": 300}, "high = 300 is beyond uint8, which goes from 0 to 255"),
        ({"dtype": "uint8", "low": -1, "high": 3}, "low = -1 is beyond uint8"),
        ({"dtype": "float16", "high": 1e6}, "high = 1e+06 is beyond float16"),
        ({"low": math.nan, "high": 1.0}, "low = nan is no number"),
        ({"distribution": "zeros", "high": 2.0}, "distribution 'zeros' takes no high"),
        ({"distribution": "uniform", "scale": 2.0}, "distribution 'uniform' takes no scale"),
        ({"distribution": "value"}, "distribution 'value' needs value"),
        ({"distribution": "ones", "value": 1}, "distribution 'ones' takes no value"),
        ({"value": 0.5, "dtype": "int32"}, "value = 0.5 is no whole number"),
        ({"distribution": "tokens"}, "distribution 'tokens' needs vocabulary"),
        ({"vocabulary": 1000, "dtype": "int8"}, "vocabulary = 1000 has ids beyond int8"),
        ({"vocabulary": 5, "low": 5}, "nothing lies from low = 5 up to high = 5"),
        ({"distribution": "mask", "shape": []}, "a mask needs an axis"),
        ({"shape": [2, -1]}, "shape [2, -1] has a negative size"),
        ({"dtype": "string"}, "string cannot be drawn: give text by a generator or a file"),
    ],
)
def test_what_cannot_be_drawn_is_refused_where_it_is_written(keys: dict[str, Any], says: str):
    with pytest.raises(ValidationError) as error:
        Inputs.model_validate({"shape": MANY, **keys})
    assert says in str(error.value)


dtypes = st.sampled_from(
    [
        "float32",
        "float64",
        "float16",
        "bfloat16",
        "float8_e4m3fn",
        "int64",
        "int32",
        "int8",
        "uint8",
        "uint64",
        "bool",
        "complex64",
    ]
)
shapes = st.lists(st.integers(0, 4), max_size=3)


@given(dtype=dtypes, shape=shapes, seed=st.integers(0, 2**32), low=st.integers(0, 50), more=st.integers(1, 70))
def test_every_dtype_is_drawn_within_its_bounds_in_its_own_type(
    dtype: str, shape: list[int], seed: int, low: int, more: int
):
    low, high = (0, 1) if dtype == "bool" else (low, low + more)
    spec = Inputs(shape=tuple(shape), dtype=dtype, low=low, high=high)
    first, again = (draw(spec, np.random.default_rng(seed)) for _ in range(2))
    assert (first.dtype, first.shape) == (dtype_named(dtype), tuple(shape))
    assert first.tobytes() == again.tobytes()
    wide = first.real.astype("float64") if dtype == "complex64" else first.astype("float64")
    rounded = 2.0**-3 * high  # a float8 has three bits behind the point
    assert ((wide >= low - rounded) & (wide <= high + rounded)).all()


@given(dtype=dtypes, shape=shapes)
def test_a_workload_survives_its_way_to_the_worker(dtype: str, shape: list[int]):
    """What is left out is left out on the other side too, so that the same seed draws the same there."""
    workload = Workload.model_validate({"inputs": {"x": {"shape": shape, "dtype": dtype}}})
    told = Workload.model_validate(workload.model_dump(mode="json", exclude_none=True))
    sides = [draw(side.inputs["x"], np.random.default_rng(1)) for side in (workload, told)]
    assert sides[0].tobytes() == sides[1].tobytes()
