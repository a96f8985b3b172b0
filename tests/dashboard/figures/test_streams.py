"""Streams: errors by step, drift, invariants, and what reaches an output."""

from __future__ import annotations

import pandas as pd

from assay.dashboard.figures import streams as stream_figures
from tests.dashboard.streams import stream_steps


def test_both_modes_are_laid_over_each_other_and_broken_steps_are_crossed():
    figure = stream_figures.error_against_step(stream_steps(), pd.DataFrame(), "y")
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
    line = stream_figures.error_against_step(stream_steps(elements=[4, 4, 0, 4, 4, 4]), pd.DataFrame(), "y").data[0]
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
        in stream_figures.error_against_step(stream_steps(), drifts, "y").layout.title.text
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
    (strip,) = stream_figures.invariants_strip(watched, 1000).data
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
    (heat,) = stream_figures.liveness(moved).data
    assert dict(zip(heat.y, [row[0] for row in heat.text], strict=True)) == {
        "s (state), reference": "0",
        "x, reference": "0.5",
    }
