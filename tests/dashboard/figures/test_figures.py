"""Figures without Streamlit: what is drawn, in which unit, and what is not."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from assay.dashboard import theme
from assay.dashboard.figures import comparison as comparison_figures
from assay.dashboard.figures import parity as parity_figures
from assay.dashboard.figures import trade_offs as trade_off_figures
from assay.dashboard.figures import trends as trend_figures
from assay.dashboard.tables import comparison as comparison_tables
from assay.dashboard.tables import parity as parity_tables


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


def receipts(**changes: Any) -> pd.DataFrame:
    row = {
        "model": "m",
        "model_version": "1",
        "variant": "fp32",
        "backend": "a",
        "workload": "w",
        "output": "o",
        "mode": "functional",
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
    (heat,) = parity_figures.pass_rates(frame).data
    cells = {(y, x): t for y, line in zip(heat.y, heat.text, strict=True) for x, t in zip(heat.x, line, strict=True)}
    assert cells == {
        ("m / fp32 / a / o", "m 1"): "50% of 2",
        ("m / fp32 / a / o", "m 2"): "",
        ("m / fp32 / a / p", "m 1"): "",
        ("m / fp32 / a / p", "m 2"): "0% of 1",
    }


def test_margins_draw_a_perfect_output_at_the_edge_and_a_failing_one_with_a_cross():
    figure = parity_figures.margins(receipts(margin=[float("inf"), 0.1], outcome=["pass", "fail"]))
    shapes = {trace.name: (trace.marker.symbol, trace.x[0]) for trace in figure.data}
    assert shapes["✓ pass"] == ("circle", 10)
    assert shapes["✗ fail"] == ("x", 0.1)


def test_the_error_histogram_shows_only_bins_between_the_first_and_last_used():
    counts = [0] * 64
    counts[0], counts[41], counts[43] = 5, 2, 1
    (bars,) = parity_figures.error_histogram(counts, "x").data
    assert (bars.y[0], bars.y[-1], bars.x[-1]) == (5, 1, "2^-8")
    assert parity_figures.error_histogram([0] * 64, "empty").data[0].y == ()


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
    figure = comparison_figures.forest(frame)
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
    assert r"\<script\>" in comparison_tables.environment({"gpu": ["<script>", "b"]})


def test_a_run_that_left_no_figure_breaks_the_line_and_says_why():
    days = [datetime.fromisoformat(f"2026-01-0{day}") for day in (1, 3)]
    gaps = points(started_at=[datetime.fromisoformat("2026-01-02")])[
        [*trend_figures._SERIES, "started_at", "model_version"]
    ].assign(reason="the worker was ended by SIGSEGV")
    line, crosses = trend_figures.trend(points(started_at=days), "m", "ms", "lower", gaps).data
    assert [None if pd.isna(value) else value for value in line.y] == [2.0, None, 2.0]
    assert line.connectgaps is False
    assert crosses.customdata[0][0] == "the worker was ended by SIGSEGV"


def test_a_nan_element_is_written_as_what_it_is():
    assert [theme.element(value) for value in (float("nan"), float("-inf"), 0.1)] == ["NaN", "-inf", "0.1"]


def stream_steps(**changes: Any) -> pd.DataFrame:
    rows = {
        "mode": ["functional"] * 3 + ["closed_loop"] * 3,
        "output": "y",
        "step": [0, 1, 2] * 2,
        "max_abs": [1e-6, 0.0, 1e-6, 1e-6, 1e-4, 1e-2],
        "violations": [0, 0, 0, 0, 1, 1],
        "elements": 4,
        "atol": 1e-5,
        "latency_ms": 1.0,
    }
    return pd.DataFrame({**rows, **changes})


def test_both_modes_are_laid_over_each_other_and_broken_steps_are_crossed():
    figure = parity_figures.error_against_step(stream_steps(), pd.DataFrame(), "y")
    assert {trace.name for trace in figure.data} == {
        "functional",
        "closed_loop",
        "closed_loop: outside the tolerance",
        "atol 1e-05",
    }
    crosses = next(trace for trace in figure.data if trace.mode == "markers")
    assert list(crosses.x) == [1, 2]
    assert figure.layout.yaxis.type == "log"


def test_an_error_of_zero_stays_on_a_logarithmic_axis_and_an_empty_step_is_left_out():
    line = parity_figures.error_against_step(stream_steps(elements=[4, 4, 0, 4, 4, 4]), pd.DataFrame(), "y").data[0]
    assert list(line.x) == [0, 1]
    assert line.y[1] > 0
    assert line.customdata[1] == 0


def test_drift_is_told_with_its_interval():
    drifts = pd.DataFrame(
        [
            {
                "mode": "closed_loop",
                "output": "y",
                "quantity": "max_abs",
                "slope": 5e-3,
                "low": 1e-3,
                "high": 1e-2,
                "trend": "increasing",
            }
        ]
    )
    assert (
        "closed_loop +0.005 a step [0.001, 0.01], increasing"
        in parity_figures.error_against_step(stream_steps(), drifts, "y").layout.title.text
    )


def test_the_strip_shows_where_an_invariant_broke_even_when_it_is_longer_than_the_screen():
    watched = pd.DataFrame(
        [
            {
                "name": "a == 0",
                "kind": "contract",
                "side": "candidate",
                "mode": "closed_loop",
                "checked": 1000,
                "broken": 1,
                "broken_steps": [999],
            },
            {
                "name": "b",
                "kind": "premise",
                "side": "candidate",
                "mode": "closed_loop",
                "checked": 0,
                "broken": 0,
                "broken_steps": [],
            },
        ]
    )
    (strip,) = parity_figures.invariants_strip(watched, 1000).data
    assert [len(row) for row in strip.z] == [300, 300]
    assert [i for i, cell in enumerate(strip.z[0]) if cell == 1] == [299]
    assert set(strip.z[1]) == {2}


def test_an_input_that_reaches_nothing_is_told_in_numbers_and_not_by_colour_alone():
    moved = pd.DataFrame(
        [
            {"side": "reference", "input": "s", "is_state": True, "output": "y", "relative": 0.0},
            {"side": "reference", "input": "x", "is_state": False, "output": "y", "relative": 0.5},
        ]
    )
    (heat,) = parity_figures.liveness(moved).data
    assert dict(zip(heat.y, [row[0] for row in heat.text], strict=True)) == {
        "s (state), reference": "0",
        "x, reference": "0.5",
    }


def test_the_first_suspect_is_marked_by_name():
    entries = pd.DataFrame(
        [
            {
                "position": i,
                "node": f"n{i}",
                "op_type": "Add",
                "layer": None,
                "reference_node": "r",
                "local_rel_l2": v,
                "accumulated_rel_l2": v,
                "expected_rel_l2": 1e-7,
                "suspect": i == 1,
            }
            for i, v in enumerate([0.0, 1e-2, 1e-8])
        ]
    )
    marked = next(trace for trace in parity_figures.divergence(entries).data if trace.name == "first suspect")
    assert (list(marked.x), list(marked.text)) == ([1], ["n1"])


def test_the_chain_keeps_its_order():
    edges = pd.DataFrame(
        [
            {"position": 1, "edge_from": "b", "edge_to": "c", "output": "y", "rel_l2": 0.1},
            {"position": 0, "edge_from": "a", "edge_to": "b", "output": "y", "rel_l2": 1e-7},
        ]
    )
    assert list(parity_figures.blame(edges).layout.yaxis.categoryarray) == ["b → c", "a → b"]


def test_the_output_that_broke_most_steps_is_shown_first():
    steps = pd.concat([stream_steps(output="fine", violations=0), stream_steps(output="bad")])
    assert parity_tables.worst_outputs(steps) == ["bad", "fine"]
