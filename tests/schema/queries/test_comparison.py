"""Two runs beside each other: what may be compared, and a ratio with its interval."""

from __future__ import annotations

import pytest

from assay.schema.queries.comparison import ratio_of, unlike


def test_comparing_needs_two_runs_of_like_things():
    assert unlike("model=a; hardware=x", "model=a; hardware=y") == "hardware: x against y"
    a, b = {"value": 10.0, "low": 9.9, "high": 10.1}, {"value": 20.0, "low": 19.8, "high": 20.2}
    value, low, high = ratio_of(a, b)
    assert (value, low, high) == pytest.approx((2.0, 2 * 0.98596, 2 * 1.01424), rel=1e-4)
    assert ratio_of({"value": 0.0}, b)[0] != ratio_of({"value": 0.0}, b)[0]
