"""Figures of quantization, on frames written by hand."""

import math

import pandas as pd

from assay.dashboard.figures import quality as quality_figures

NONE = float("nan")


def test_a_loss_has_its_interval_and_the_profiles_beside_it():
    rows = pd.DataFrame(
        {
            "variant": ["int8", "fp32"],
            "backend": "onnxruntime",
            "metric": "top1",
            "value": [0.9, 0.92],
            "drop": [0.02, 0.0],
            "low": [0.01, NONE],
            "high": [0.04, NONE],
            "n": 540,
        }
    )
    figure = quality_figures.drops(rows)
    marks = figure.data[0]
    assert [round(v, 6) for v in marks.error_x.array] == [0.02, 0]
    assert [round(v, 6) for v in marks.error_x.arrayminus] == [0.01, 0]
    assert [a.text for a in figure.layout.annotations] == ["high-precision", "general", "real-time"]


def test_depth_leaves_out_what_is_not_known_and_draws_infinity_at_the_top():
    entries = pd.DataFrame(
        {
            "kind": ["weight", "activation", "activation"],
            "name": ["w", "x", "y"],
            "op_type": "Conv",
            "sqnr_db": [40.0, math.inf, 30.0],
            "accumulated_sqnr_db": [NONE] * 3,
            "executed_sqnr_db": [NONE, 50.0, 20.0],
        }
    )
    lines = {trace.name: list(trace.y) for trace in quality_figures.depth(entries).data}
    assert lines == {"this tensor alone": [100.0, 30.0], "executed": [50.0, 20.0]}


def test_calibrations_are_set_side_by_side_in_the_graphs_order():
    rows = pd.DataFrame(
        {
            "variant": ["a", "a", "b", "b"],
            "name": ["second", "first", "second", "first"],
            "position": [2, 1, 2, 1],
            "sqnr_db": [1.0, 2.0, 3.0, 4.0],
        }
    )
    heat = quality_figures.methods(rows).data[0]
    assert (list(heat.x), list(heat.y)) == (["first", "second"], ["a", "b"])
    assert heat.z.tolist() == [[2.0, 1.0], [4.0, 3.0]]


def test_the_front_of_a_search_is_joined_and_the_choice_is_ringed():
    trials = pd.DataFrame(
        {
            "variant": ["fp32", "all", "failed"],
            "origin": ["quantize nothing", "quantize all", "worst by SQNR"],
            "excluded": [["a", "b"], [], ["a"]],
            "drop_relative": [0.0, 0.5, NONE],
            "drop_low": [NONE, 0.4, NONE],
            "drop_high": [NONE, 0.6, NONE],
            "latency_ratio": [1.0, 0.5, NONE],
            "ratio_low": [1.0, 0.4, NONE],
            "ratio_high": [1.0, 0.6, NONE],
            "front": [True, True, False],
            "chosen": [True, False, False],
        }
    )
    traces = {trace.name: trace for trace in quality_figures.search(trials).data}
    assert set(traces) == {"front", "quantize nothing", "quantize all", "chosen"}
    assert list(traces["front"].x) == [0.5, 1.0]
    assert (list(traces["chosen"].x), list(traces["chosen"].y)) == ([1.0], [0.0])
