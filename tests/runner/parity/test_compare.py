"""The kernel: hand-worked values, then properties that hold for every input."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as hnp
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.runner.parity.compare import RULES, tally
from assay.runner.parity.receipt import receipt

F32 = np.float32


def made(expected: Any, actual: Any, **kwargs: Any) -> dict[str, Any]:
    expected, actual = np.asarray(expected), np.asarray(actual)
    return receipt(tally(expected, actual, **kwargs), expected.shape)


def test_every_field_of_a_small_receipt_is_what_a_hand_computes():
    r = made(np.array([[1.0, 2.0], [-4.0, 0.0]]), np.array([[1.0, 2.5], [-5.0, 0.0]]), atol=0.6)
    assert (r["elements"], r["skipped"], r["violations"]) == (4, 0, 1)
    assert r["max_abs"] == 1.0
    assert r["mean_abs"] == pytest.approx(1.5 / 4)
    assert r["mean_signed"] == pytest.approx(-0.5 / 4)
    assert r["max_rel"] == 0.25
    assert r["mse"] == pytest.approx(1.25 / 4)
    assert r["rel_l2"] == pytest.approx(math.sqrt(1.25 / 21))
    assert r["sqnr_db"] == pytest.approx(10 * math.log10(21 / 1.25))
    assert r["psnr_peak"] == 6.0
    assert r["psnr_db"] == pytest.approx(10 * math.log10(36 / (1.25 / 4)))
    assert r["cosine"] == pytest.approx((1 + 5 + 20) / math.sqrt(21 * 32.25))
    assert r["expected_std"] == pytest.approx(np.std([1, 2, -4, 0]))
    assert (r["p50_abs"], r["p999_abs"]) == pytest.approx((0.25, 0.9985))
    assert (r["worst_index"], r["worst_expected"], r["worst_actual"]) == ([1, 0], -4.0, -5.0)
    assert r["first_failing_index"] == [1, 0]
    assert sum(r["histogram"]) == 4
    assert r["histogram"][0] == 2


def test_equal_arrays_have_infinite_sqnr_and_no_error():
    r = made([1.0, 2.0], [1.0, 2.0])
    assert (r["max_abs"], r["sqnr_db"], r["psnr_db"], r["max_rel"], r["violations"]) == (0, math.inf, math.inf, 0, 0)
    assert r["cosine"] == pytest.approx(1)


def test_an_expected_zero_that_came_out_as_something_has_an_infinite_relative_error():
    assert made([0.0, 1.0], [1e-9, 1.0])["max_rel"] == math.inf


@pytest.mark.parametrize(("rule", "violations"), [("mixed", 1), ("either", 2), ("exact", 3)])
def test_the_rules_differ_where_they_should(rule: str, violations: int):
    # errors 0.15, 0.3 and 0.05 on 1, 1 and 10; atol 0.1 and rtol 0.1 allow 0.2, 0.2, 1.1 together
    assert made([1.0, 1.0, 10.0], [1.15, 1.3, 10.05], rule=rule, atol=0.1, rtol=0.1)["violations"] == violations


def test_nan_and_infinity_are_counted_and_a_mismatch_is_the_worst_element():
    nan, inf = math.nan, math.inf
    r = made([1.0, nan, inf, inf, 5.0, nan], [2.0, nan, inf, -inf, nan, 1.0], atol=10.0)
    assert (r["nan_expected"], r["nan_actual"], r["inf_expected"], r["inf_actual"]) == (2, 2, 2, 2)
    assert r["nonfinite_mismatches"] == 4
    assert r["violations"] == 4
    assert r["worst_index"] == [1]
    assert r["max_abs"] == 1.0, "only the pair finite on both sides counts"
    assert made([nan], [nan], nan_equal=True)["violations"] == 0


def test_a_mask_leaves_pairs_out_and_counts_them():
    r = made([1.0, 2.0, 3.0], [1.0, 9.0, 3.5], mask=np.array([True, False, True]))
    assert (r["elements"], r["skipped"], r["max_abs"], r["worst_index"]) == (2, 1, 0.5, [2])


def test_nothing_compared_leaves_figures_absent_not_zero():
    r = made(np.zeros((0, 3)), np.zeros((0, 3)))
    assert (r["elements"], r["max_abs"], r["sqnr_db"], r["cosine"]) == (0, None, None, None)


@pytest.mark.parametrize(
    "dtype", [np.int8, np.uint8, np.int64, np.bool_, np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn]
)
def test_every_dtype_is_compared_as_numbers(dtype: Any):
    x, y = np.array([0, 1, 1]).astype(dtype), np.array([0, 1, 0]).astype(dtype)
    r = made(x, y)
    assert (r["max_abs"], r["mean_signed"], r["violations"]) == (1.0, pytest.approx(-1 / 3), 1)


def test_large_integers_that_float64_cannot_tell_apart_still_differ():
    big = 2**62
    assert made(np.array([big]), np.array([big + 1]), rule="exact")["violations"] == 1
    assert made(np.array([big]), np.array([big + 1]))["max_abs"] == 1.0
    assert made(np.array([-(2**63)]), np.array([2**63 - 1]))["max_abs"] == float(2**64 - 1)


def test_other_shapes_and_values_without_an_order_are_refused_by_name():
    with pytest.raises(ValueError, match=r"shape \(2,\) was expected, \(3,\) came"):
        tally(np.zeros(2), np.zeros(3))
    with pytest.raises(ValueError, match="cannot be compared as numbers"):
        tally(np.array(["2026-11-25"], "datetime64[D]"), np.array(["2026-11-25"], "datetime64[D]"))
    with pytest.raises(ValueError, match="bytes without a type"):
        tally(np.zeros(2, "V2"), np.zeros(2, "V2"))


floats = st.floats(width=32, allow_nan=True, allow_infinity=True)
pairs = hnp.array_shapes(max_dims=3, max_side=40).flatmap(
    lambda shape: st.tuples(hnp.arrays(F32, shape, elements=floats), hnp.arrays(F32, shape, elements=floats))
)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return a == b or (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-30)
    return a == b


@settings(max_examples=150, deadline=None)
@given(pairs, st.sampled_from(RULES), st.booleans())
def test_the_compiled_kernel_says_what_the_numpy_kernel_says(pair: Any, rule: str, nan_equal: bool):
    x, y = pair
    kwargs = {"rule": rule, "atol": 0.5, "rtol": 0.1, "nan_equal": nan_equal}
    plain, compiled = (receipt(tally(x, y, compiled=c, **kwargs), x.shape) for c in (False, True))
    # cosine and the standard deviation cancel: near-equal sums of squares of 1e38 leave them no digits
    for name in plain.keys() - {"cosine", "expected_std"}:
        close = name.endswith("_db") and math.isclose(plain[name] or 0, compiled[name] or 0, abs_tol=1e-9)
        if name == "mean_signed":  # errors of both signs cancel: the sums agree to the size of what was summed
            close = math.isclose(plain[name] or 0, compiled[name] or 0, abs_tol=1e-12 * (plain["mean_abs"] or 0))
        assert close or same(plain[name], compiled[name]), (name, plain[name], compiled[name])


def test_both_kernels_agree_over_many_blocks_with_non_finite_elements():
    random = np.random.default_rng(0)
    x = random.standard_normal(300_001).astype(F32)
    y = (x + 1e-3 * random.standard_normal(x.size)).astype(F32)
    y[[5, 70_000, 200_000]] = [np.nan, np.inf, 7]
    x[131_072] = np.nan
    plain, compiled = (receipt(tally(x, y, atol=1e-3, compiled=c), x.shape) for c in (False, True))
    assert all(same(plain[name], compiled[name]) for name in plain)
    assert plain["worst_index"] == [5]
    errors = np.abs(y.astype(np.float64) - x)[np.isfinite(x) & np.isfinite(y)]
    for name, q in (("p50_abs", 0.5), ("p95_abs", 0.95), ("p999_abs", 0.999)):
        assert plain[name] == pytest.approx(np.quantile(errors, q), rel=0.008)


@settings(max_examples=80, deadline=None)
@given(
    hnp.arrays(np.float64, st.integers(2, 200), elements=st.floats(-1e3, 1e3)), st.integers(0, 10**6), st.floats(0, 1)
)
def test_merging_the_tallies_of_two_parts_gives_the_tally_of_the_whole(x: Any, seed: int, cut: float):
    y = x + np.random.default_rng(seed).standard_normal(x.size)
    at = int(cut * x.size)
    merged = tally(x[:at], y[:at], atol=0.5)
    merged.merge(tally(x[at:], y[at:], atol=0.5), at)
    whole, parts = receipt(tally(x, y, atol=0.5), x.shape), receipt(merged, x.shape)
    assert all(same(whole[name], parts[name]) for name in whole if name != "expected_std")
    assert whole["expected_std"] == pytest.approx(parts["expected_std"], abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(F32, (6, 7, 4), elements=st.floats(-100, 100, width=32)))
def test_strides_do_not_matter(x: Any):
    y = x + F32(0.5)
    straight, turned = (
        made(x.transpose(2, 0, 1).copy(), y.transpose(2, 0, 1).copy()),
        made(x.transpose(2, 0, 1), y.transpose(2, 0, 1)),
    )
    assert straight == turned


@given(hnp.arrays(np.float64, 50, elements=st.floats(0.5, 100)), st.floats(0.1, 10))
def test_scaling_both_sides_scales_errors_and_leaves_ratios(x: Any, factor: float):
    y = x * 1.01
    one, other = made(x, y), made(x * factor, y * factor)
    assert other["max_abs"] == pytest.approx(one["max_abs"] * factor)
    assert other["sqnr_db"] == pytest.approx(one["sqnr_db"], abs=1e-6)


@pytest.mark.parametrize("compiled", [False, True])
def test_values_too_large_to_be_squared_leave_ratios_absent_and_the_rest_right(compiled: bool):
    x, y = np.array([1e200, 1e-300, -1e200]), np.array([-1e200, 1e-300, -1e200])
    r = made(x, y, atol=1.0, compiled=compiled)
    assert (r["max_abs"], r["max_rel"], r["violations"], r["worst_index"]) == (2e200, 2.0, 1, [0])
    assert (r["sqnr_db"], r["rel_l2"], r["cosine"]) == (None, None, None)


def test_a_ratio_of_squares_that_leaves_float64_still_has_decibels():
    tiny = made(np.float64(4e-162), np.float64(3.0))  # the square of the signal is the smallest there is
    assert tiny["sqnr_db"] == pytest.approx(-3240, abs=15)
    assert made(np.float64(1e150), np.float64(1e150 * (1 - 1e-15)))["sqnr_db"] == pytest.approx(300, abs=5)
    assert made(np.float64(0.0), np.float64(3.0))["sqnr_db"] == -math.inf


def test_one_number_has_no_range_and_so_no_psnr():
    assert made(np.float32(3), np.float32(3.1))["psnr_db"] is None


def test_large_files_are_read_mapped_and_in_any_order(tmp_path: Path):
    x = np.random.default_rng(0).standard_normal((1500, 1000)).astype(F32)
    np.save(tmp_path / "c.npy", x)
    np.save(tmp_path / "f.npy", np.asfortranarray(x + F32(1e-3)))
    c, f = (np.load(tmp_path / name, mmap_mode="r") for name in ("c.npy", "f.npy"))
    straight, turned = made(c, np.asarray(f, order="C")), made(c, f)
    assert all(same(straight[name], turned[name]) for name in straight if name != "cosine")
