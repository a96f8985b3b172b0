"""Changes, cuts and nights, as they are drawn."""

from __future__ import annotations

import pandas as pd

from assay.dashboard.figures import alerts as alert_figures
from assay.dashboard.figures import trends as trend_figures


def test_a_trend_shows_its_changes_and_its_cuts():
    points = pd.DataFrame(
        {
            "model": "m",
            "variant": "v",
            "backend": "b",
            "workload": "w",
            "hardware_class": "cpu",
            "started_at": pd.date_range("2026-01-01", periods=4),
            "model_version": "v1",
            "value": [1.0, 1.0, 2.0, 2.0],
            "low": None,
            "high": None,
        }
    )
    moved = pd.DataFrame(
        [
            {
                "started_at": points["started_at"][2],
                "direction": "regression",
                "message": "2x",
                "name": "m/v/b/w",
                "version_before": "v1",
                "version": "v2",
                "state": "expected",
                "state_reason": "agreed <a>",
                "decided_by": "mira",
                "after": [2.0, 2.0],
            }
        ]
    )
    cuts = pd.DataFrame([{"started_at": points["started_at"][1], "differs": "onnxruntime 1.30 -> 1.31", "series": 1}])
    figure = alert_figures.marked(trend_figures.trend(points, "latency_p50_ms", "ms", "lower"), moved, cuts)
    names = [trace.name for trace in figure.data]
    assert names[-2:] == ["environment changed: the series is cut", "worse from here"]
    assert "expected, mira: agreed &lt;a&gt;" in figure.data[-1].customdata[0][0]
    assert (figure.data[-1].y[0], figure.data[-2].customdata[0][0]) == (2.0, "onnxruntime 1.30 -> 1.31")
    assert len(figure.layout.shapes) == 1
    plain = alert_figures.marked(
        trend_figures.trend(points, "latency_p50_ms", "ms", "lower"), pd.DataFrame(), pd.DataFrame()
    )
    assert len(plain.data) == 1


def test_nights_on_both_sides_are_over_the_median_before():
    changes = pd.DataFrame(
        [
            {"name": "n", "metric": "m", "before": [10.0, 10.0, 12.0], "after": [20.0], "message": "2x"},
            {"name": "z", "metric": "m", "before": [], "after": [1.0], "message": ""},
        ]
    )
    figure = alert_figures.sides(changes)
    assert [list(trace.y) for trace in figure.data] == [[1.0, 1.0, 1.2], [2.0]]
    assert "n = 1 series" in figure.layout.title.text
