"""Trade-offs: the front that nothing beats, on any two axes."""

from __future__ import annotations

import pandas as pd
import pytest

from assay.dashboard.figures import trade_offs as trade_off_figures


def test_the_front_holds_what_nothing_beats_in_both():
    frame = pd.DataFrame({"latency_ms": [1.0, 2.0, 3.0, 1.5], "model_bytes": [100, 50, 60, 100]})
    assert trade_off_figures.front(frame) == [0, 1]


def test_a_trade_off_draws_points_and_the_front_of_each_version():
    frame = pd.DataFrame(
        {
            "model_version": ["1", "1", "2"],
            "workload": "w",
            "variant": "fp32",
            "backend": ["a", "b", "a"],
            "hardware_class": "cpu",
            "latency_ms": [1.0, 2.0, 3.0],
            "low": None,
            "high": None,
            "model_bytes": [9, 5, 7],
            "n": 3,
        }
    ).astype({"low": float, "high": float})
    figure = trade_off_figures.trade_off(frame, "m")
    moved, *drawn = figure.data
    assert moved.name == "fp32 / a over versions"
    assert (list(moved.x), list(moved.y)) == ([9, 7], [1.0, 3.0])
    assert [trace.name for trace in drawn] == ["front of 1 on w", "1 on w", "front of 2 on w", "2 on w"]
    assert figure.layout.xaxis.title.text.endswith("(bytes)")


def test_a_front_knows_on_which_axis_more_is_better():
    frame = pd.DataFrame({"sqnr_db": [40.0, 20.0, 30.0], "latency_ms": [3.0, 1.0, 3.5]})
    assert trade_off_figures.front(frame, x="quality", y="latency") == [1, 0]


def test_equal_outputs_are_drawn_at_an_edge_beyond_the_finite_ones():
    frame = pd.DataFrame(
        {
            "model_version": "1",
            "workload": "w",
            "variant": ["a", "b"],
            "backend": "x",
            "hardware_class": "cpu",
            "latency_ms": [1.0, 2.0],
            "low": [0.9, 1.9],
            "high": [1.1, 2.1],
            "sqnr_db": [20.0, float("inf")],
            "n": 3,
        }
    )
    figure = trade_off_figures.trade_off(frame, "m", "quality", "latency")
    assert list(figure.data[1].x) == [20.0, pytest.approx(22.0)]
