"""Receipts: rates, margins and the spread of errors."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from assay.dashboard.figures import parity as parity_figures


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
