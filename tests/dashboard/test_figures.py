"""Figures without Streamlit: what is drawn, in which unit, and what is not."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from dashboard import figures, tables, theme


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
    figure = figures.trend(points(backend=["a", "a", "b"], value=[1.0, 2.0, 3.0]), "latency_p50_ms", "ms", "lower")
    assert [line.name for line in figure.data] == ["m / fp32 / a / w", "m / fp32 / b / w"]
    assert figure.layout.yaxis.title.text == "latency_p50_ms (ms)"
    assert "n = 3 points; cpu" in figure.layout.title.text
    assert "lower is better" in figure.layout.title.text
    assert figure.layout.yaxis.rangemode == "tozero"


def test_a_line_is_broken_where_the_hardware_changes():
    figure = figures.trend(points(hardware_class=["x", "y"]), "m", "ms", "lower")
    assert len(figure.data) == 2
    assert figure.data[0].line.color == figure.data[1].line.color


def test_a_logarithmic_trend_shows_at_least_a_decade():
    figure = figures.trend(points(value=[1.0, 1.01]), "m", "ms", "lower", log=True)
    low, high = figure.layout.yaxis.range
    assert high - low >= 1


def test_a_thing_keeps_its_colour_whatever_else_is_shown():
    assert theme.colour("onnxruntime") == theme.colour("onnxruntime") != theme.colour("pytorch")
    some, all_ = (
        figures.trend(points(backend=["b"]), "m", "", "lower"),
        figures.trend(points(backend=["a", "b"]), "m", "", "lower"),
    )
    assert some.data[0].line.color == all_.data[1].line.color


def receipts(**changes: Any) -> pd.DataFrame:
    row = {
        "model": "m",
        "model_version": "1",
        "variant": "fp32",
        "backend": "a",
        "workload": "w",
        "output": "o",
        "outcome": "pass",
        "margin": 2.0,
        "name": "case",
        "run_started_at": datetime.fromisoformat("2026-01-01"),
    }
    length = max(len(v) for v in changes.values()) if changes else 1
    return pd.DataFrame({**{k: [v] * length for k, v in row.items()}, **changes})


def test_pass_rates_count_verdicts_and_leave_gaps_where_there_are_none():
    start = datetime.fromisoformat("2026-01-01")
    frame = receipts(
        model_version=["1", "1", "2"],
        outcome=["pass", "fail", "vacuous"],
        output=["o", "o", "p"],
        run_started_at=[start, start, start + timedelta(1)],
    )
    (heat,) = figures.pass_rates(frame).data
    cells = {(y, x): t for y, line in zip(heat.y, heat.text, strict=True) for x, t in zip(heat.x, line, strict=True)}
    assert cells == {
        ("m / fp32 / a / o", "m 1"): "50% of 2",
        ("m / fp32 / a / o", "m 2"): "",
        ("m / fp32 / a / p", "m 1"): "",
        ("m / fp32 / a / p", "m 2"): "0% of 1",
    }


def test_margins_draw_a_perfect_output_at_the_edge_and_a_failing_one_with_a_cross():
    figure = figures.margins(receipts(margin=[float("inf"), 0.1], outcome=["pass", "fail"]))
    shapes = {trace.name: (trace.marker.symbol, trace.x[0]) for trace in figure.data}
    assert shapes["✓ pass"] == ("circle", 10)
    assert shapes["✗ fail"] == ("x", 0.1)


def test_the_error_histogram_shows_only_bins_between_the_first_and_last_used():
    counts = [0] * 64
    counts[0], counts[41], counts[43] = 5, 2, 1
    (bars,) = figures.error_histogram(counts, "x").data
    assert (bars.y[0], bars.y[-1], bars.x[-1]) == (5, 1, "2^-8")
    assert figures.error_histogram([0] * 64, "empty").data[0].y == ()


def test_the_front_holds_what_nothing_beats_in_both():
    frame = pd.DataFrame({"latency_ms": [1.0, 2.0, 3.0, 1.5], "model_bytes": [100, 50, 60, 100]})
    assert figures.front(frame) == [0, 1]


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
    figure = figures.trade_off(frame, "m")
    assert [trace.name for trace in figure.data] == ["front of 1 on w", "1 on w", "front of 2 on w", "2 on w"]
    assert figure.layout.xaxis.title.text.endswith("(bytes)")


def test_the_forest_shows_ratios_with_intervals_and_skips_what_has_none():
    frame = pd.DataFrame(
        {
            "case": ["a", "b"],
            "name": "p50",
            "ratio": [2.0, None],
            "ratio_low": [1.9, None],
            "ratio_high": [2.1, None],
            "outcome": ["worse", "not comparable"],
        }
    )
    figure = figures.forest(frame)
    assert len(figure.data[0].x) == 1
    assert figure.data[0].marker.color == (theme.OUTCOMES["fail"],)


@pytest.mark.parametrize(
    ("bytes_", "text"),
    [
        (0, "0 B"),
        (1024, "1.0 KiB"),
        (3 * 1024**2, "3.0 MiB"),
        (5 * 1024**3, "5.00 GiB"),
        (None, "-"),
        (float("nan"), "-"),
    ],
)
def test_sizes_are_written_for_people(bytes_: Any, text: str):
    assert theme.size(bytes_) == text


def test_names_from_the_database_are_never_markup():
    assert theme.markdown("<b>x</b> [a](b) **c**") == r"\<b\>x\</b\> \[a\]\(b\) \*\*c\*\*"
    assert r"\<script\>" in tables.environment({"gpu": ["<script>", "b"]})


def test_a_run_that_left_no_figure_breaks_the_line_and_says_why():
    days = [datetime.fromisoformat(f"2026-01-0{day}") for day in (1, 3)]
    gaps = points(started_at=[datetime.fromisoformat("2026-01-02")])[
        [*figures._SERIES, "started_at", "model_version"]
    ].assign(reason="the worker was ended by SIGSEGV")
    line, crosses = figures.trend(points(started_at=days), "m", "ms", "lower", gaps).data
    assert [None if pd.isna(value) else value for value in line.y] == [2.0, None, 2.0]
    assert line.connectgaps is False
    assert crosses.customdata[0][0] == "the worker was ended by SIGSEGV"


def test_a_nan_element_is_written_as_what_it_is():
    assert [theme.element(value) for value in (float("nan"), float("-inf"), 0.1)] == ["NaN", "-inf", "0.1"]
