"""Trends over steps: hand-worked slopes, and how often noise is called a trend."""

from __future__ import annotations

import numpy as np
import pytest

from assay.runner.rules.advice import advise, gumbel_quantile
from assay.runner.timing.trend import mann_kendall, trend


def test_a_straight_line_has_its_slope_and_a_certain_trend():
    found = trend(range(20), [1 + 0.5 * step for step in range(20)])
    assert found is not None
    assert (found.slope, found.direction, found.peak_step, found.peak) == (pytest.approx(0.5), "increasing", 19, 10.5)
    assert found.low <= 0.5 <= found.high


def test_one_wild_step_does_not_make_a_slope():
    values = [1.0] * 20
    values[7] = 1000.0
    found = trend(range(20), values)
    assert found is not None
    assert (found.slope, found.direction, found.peak_step) == (0.0, "none", 7)


def test_a_constant_series_has_no_trend_and_a_short_one_no_answer():
    constant = trend(range(10), [2.0] * 10)
    assert constant is not None
    assert (constant.slope, constant.p_value) == (0.0, 1.0)
    assert trend(range(3), [1.0, 2.0, 3.0]) is None
    assert trend(range(9), [float("nan")] * 6 + [1.0, 2.0, 3.0]) is None


def test_mann_and_kendalls_p_value_is_the_tables_for_a_short_series():
    """S of 1 2 3 4 5 is 10, its variance 50/3: z = 9 / 4.0825 = 2.2045, p = 0.0275."""
    assert mann_kendall(np.arange(5.0), slope=1.0) == pytest.approx(0.0275, abs=2e-4)


@pytest.mark.parametrize("correlation", [0.0, 0.6])
def test_noise_is_seldom_called_a_trend_even_when_it_is_autocorrelated(correlation: float):
    random = np.random.default_rng(1)
    called = 0
    for _ in range(200):
        noise = random.standard_normal(100)
        for i in range(1, 100):
            noise[i] += correlation * noise[i - 1]
        found = trend(range(100), list(noise))
        called += found is not None and found.direction != "none"
    assert called / 200 < 0.1  # nominal 5 %; 34 % at 0.6 without the correction


def test_the_quantile_of_gumbels_distribution_is_the_formula():
    """Mean 0, standard deviation pi/sqrt(6).

    Location -0.5772, scale 1, so the median is -0.5772 - ln(ln 2) = -0.2107.
    """
    values = np.array([-1.0, 1.0]) * np.pi / np.sqrt(6) / np.sqrt(2)
    assert gumbel_quantile(values, 0.5) == pytest.approx(-0.2107, abs=1e-3)


def test_an_advised_tolerance_fails_noise_about_as_seldom_as_it_says():
    random = np.random.default_rng(2)
    found = advise({"repeat": list(np.abs(random.standard_normal((64, 500))).max(axis=1))}, 1.0, 1e-7)
    assert found is not None
    fresh = np.abs(random.standard_normal((4000, 500))).max(axis=1)
    assert (fresh > found.atol).mean() < 4e-3


def test_nothing_is_advised_from_too_few_errors_and_never_less_than_one_unit_in_the_last_place():
    assert advise({"repeat": [1e-6] * 3}, 1.0, 1e-7) is None
    exact = advise({"repeat": [0.0] * 8}, 2.0, 1e-7)
    assert exact is not None
    assert (exact.atol, exact.basis) == (2e-7, "one unit in the last place")
