"""Figures of speed, on frames written by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from assay.dashboard.figures import speed as speed_figures

ROWS = pd.DataFrame(
    {
        "variant": ["fp32", "int8"],
        "backend": "onnxruntime",
        "mode": ["interleaved, cached", "interleaved"],
        "samples": [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], [0.5] * 8],
        "block_length": 2,
        "launches": 2,
        "value": [4.5, 0.5],
        "low": [4.0, None],
        "high": [5.0, None],
        "n": 8,
    }
)


def test_a_distribution_has_a_line_for_each_launch_under_one_name():
    first, second, *_ = speed_figures.distribution(ROWS).data
    assert (first.name, first.showlegend, second.showlegend) == ("fp32 / onnxruntime (cached)", True, False)
    assert list(first.x) == [1, 2, 3, 4]
    assert (second.x[0], second.x[-1], second.y[-1]) == (5, 8, 1)


def test_blocks_are_drawn_in_order_with_a_gap_between_launches():
    line = speed_figures.in_order(ROWS).data[0]
    assert list(line.y) == [1.5, 3.5, None, 5.5, 7.5, None]
    assert list(line.x)[:2] == [1, 1.4]


def test_a_case_without_an_interval_gets_no_bar():
    marks = speed_figures.intervals(ROWS).data[0]
    assert list(marks.y) == ["fp32 / onnxruntime (cached)", "int8 / onnxruntime"]
    assert list(marks.error_x.array) == [0.5, 0]


def test_the_prompt_of_a_generation_is_apart_from_its_tokens():
    frame = pd.DataFrame(
        {
            "case_id": "c",
            "variant": "fp32",
            "backend": "b",
            "mode": "interleaved",
            "step": [0, 1, 2],
            "latency_ms": [9.0, 1.0, 2.0],
        }
    )
    tokens, prompt = speed_figures.steps(frame).data
    assert (list(tokens.x), list(prompt.y)) == ([1, 2], [9.0])


def test_a_sweep_joins_only_items_of_one_size():
    frame = pd.DataFrame(
        {
            "variant": "fp32",
            "backend": "b",
            "mode": "interleaved",
            "batch": [8, 1, 1],
            "items_per_s": [60.0, 10.0, 99.0],
            "workload": ["x", "y", "z"],
            "input_shapes": ["input_ids[8,64]", "input_ids[1,64]", "input_ids[1,16]"],
        }
    )
    lines = {trace.name: list(trace.x) for trace in speed_figures.sweep(frame).data}
    assert lines == {"fp32 / b, input_ids[*,64]": [1, 8], "fp32 / b, input_ids[*,16]": [1]}


def test_operators_are_the_longest_with_those_that_they_stand_for():
    frame = pd.DataFrame(
        {
            "name": ["a", "b"],
            "op_type": "MatMul",
            "precision": "float",
            "median_us": [1.0, 9.0],
            "share": [0.1, 0.9],
            "reference_us": [2.0, None],
        }
    )
    bars, marks = speed_figures.operators(frame).data
    assert list(bars.y) == ["a (MatMul)", "b (MatMul)"]
    assert marks.x[0] == pytest.approx(2.0)
    assert len(speed_figures.operators(frame.assign(reference_us=None)).data) == 1
