"""Figures of quantization error, by hand."""

import math

import numpy as np
import pytest

from assay.runner.quality.moments import Moments, decibels


def moments(x, y):
    made = Moments()
    made.add(np.array(x), np.array(y))
    return made.figures()


def test_the_figures_are_those_of_the_formulas():
    # x = 3, -4; y = 3, -3: error 0, 1; signal 25, noise 1, mse 1/2
    made = moments([3.0, -4.0], [3.0, -3.0])
    assert made["sqnr_db"] == pytest.approx(10 * math.log10(25))
    assert made["psnr_db"] == pytest.approx(10 * math.log10(49 / 0.5))
    assert made["mse"] == 0.5
    assert made["mean_abs"] == 0.5
    assert made["max_abs"] == 1.0
    assert made["cosine"] == pytest.approx(21 / (5 * math.sqrt(18)))
    # variances: x 12.25, error 0.25
    assert made["snr_db"] == pytest.approx(10 * math.log10(12.25 / 0.25))
    assert (made["expected_mean"], made["actual_mean"]) == (-0.5, 0.0)
    assert made["expected_std"] == 3.5


def test_equal_arrays_have_infinite_ratios():
    made = moments([1.0, 2.0], [1.0, 2.0])
    assert made["sqnr_db"] == math.inf
    assert made["cosine"] == pytest.approx(1.0)


def test_a_constant_offset_counts_as_quantization_noise_but_not_as_noise():
    made = moments([1.0, 2.0], [1.5, 2.5])
    assert made["sqnr_db"] == pytest.approx(10 * math.log10(5 / 0.5))
    assert made["snr_db"] == math.inf


def test_what_is_not_finite_is_counted_and_left_out():
    made = Moments()
    made.add(np.array([1.0, np.nan, 3.0]), np.array([1.0, 2.0, np.inf]))
    assert (made.n, made.nonfinite) == (1, 2)


def test_nothing_has_no_figures():
    assert set(Moments().figures().values()) == {None}
    assert moments([0.0], [0.0])["sqnr_db"] is None
    assert decibels(0.0, 1.0) == -math.inf


def test_batches_add_up_to_the_whole():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(2, 1000))
    parts = Moments()
    for piece in range(0, 1000, 100):
        parts.add(x[piece : piece + 100], y[piece : piece + 100])
    assert parts.figures() == pytest.approx(moments(x, y))


def test_shapes_that_differ_are_not_broadcast():
    with pytest.raises(ValueError, match=r"\(2,\) was expected"):
        Moments().add(np.zeros(2), np.zeros(1))
