"""Trends: one line a series, broken where the hardware changes or a run left nothing."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pandas as pd

from assay.dashboard import theme
from assay.dashboard.figures import trends as trend_figures


def points(**changes: Any) -> pd.DataFrame:
    row = {
        "model": "m",
        "variant": "fp32",
        "backend": "a",
        "workload": "w",
        "hardware_class": "cpu",
        "model_version": "1",
        "value": 2.0,
        "low": 1.9,
        "high": 2.2,
        "started_at": datetime.fromisoformat("2026-01-01"),
    }
    length = max(len(v) for v in changes.values()) if changes else 1
    return pd.DataFrame({**{k: [v] * length for k, v in row.items()}, **changes})


def test_a_trend_draws_one_line_per_series_with_unit_n_and_hardware():
    figure = trend_figures.trend(
        points(backend=["a", "a", "b"], value=[1.0, 2.0, 3.0]), "latency_p50_ms", "ms", "lower"
    )
    assert [line.name for line in figure.data] == ["m / fp32 / a / w", "m / fp32 / b / w"]
    assert figure.layout.yaxis.title.text == "latency_p50_ms (ms)"
    assert "n = 3 points; cpu" in figure.layout.title.text
    assert "lower is better" in figure.layout.title.text
    assert figure.layout.yaxis.rangemode == "tozero"


def test_a_line_is_broken_where_the_hardware_changes():
    figure = trend_figures.trend(points(hardware_class=["x", "y"]), "m", "ms", "lower")
    assert len(figure.data) == 2
    assert figure.data[0].line.color == figure.data[1].line.color


def test_a_logarithmic_trend_shows_at_least_a_decade():
    figure = trend_figures.trend(points(value=[1.0, 1.01]), "m", "ms", "lower", log=True)
    low, high = figure.layout.yaxis.range
    assert high - low >= 1


def test_a_thing_keeps_its_colour_whatever_else_is_shown():
    assert theme.colour("onnxruntime") == theme.colour("onnxruntime") != theme.colour("pytorch")
    some, all_ = (
        trend_figures.trend(points(backend=["b"]), "m", "", "lower"),
        trend_figures.trend(points(backend=["a", "b"]), "m", "", "lower"),
    )
    assert some.data[0].line.color == all_.data[1].line.color


def test_a_run_that_left_no_figure_breaks_the_line_and_says_why():
    days = [datetime.fromisoformat(f"2026-01-0{day}") for day in (1, 3)]
    gaps = points(started_at=[datetime.fromisoformat("2026-01-02")])[
        [*trend_figures._SERIES, "started_at", "model_version"]
    ].assign(reason="the worker was ended by SIGSEGV")
    line, crosses = trend_figures.trend(points(started_at=days), "m", "ms", "lower", gaps).data
    assert [None if pd.isna(value) else value for value in line.y] == [2.0, None, 2.0]
    assert line.connectgaps is False
    assert crosses.customdata[0][0] == "the worker was ended by SIGSEGV"
