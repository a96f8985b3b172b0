"""Latency against size or quality, with the front that no other beats."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from assay.dashboard import theme
from assay.dashboard.figures.base import finish, whiskers


@dataclass(frozen=True, slots=True)
class Axis:
    """One way to weigh configurations."""

    column: str
    title: str
    better: str
    """`lower` or `higher`."""


AXES = {
    "latency": Axis("latency_ms", "median latency of a call, or of a token (ms)", "lower"),
    "size": Axis("model_bytes", "weights or file (bytes)", "lower"),
    "memory": Axis("peak_rss_bytes", "peak resident memory of the process (bytes)", "lower"),
    "bits": Axis("bits_per_weight", "stored bits per weight", "lower"),
    "throughput": Axis("items_per_s", "items or tokens per second", "higher"),
    "quality": Axis("sqnr_db", "worst output's SQNR against the reference (dB; equal outputs at the edge)", "higher"),
}
"""Name in the URL -> what is drawn. Columns are those of `assay.schema.queries.trade_offs`."""


def front(points: pd.DataFrame, x: str = "size", y: str = "latency") -> list[int]:
    """Positions of the points that no other beats on both axes, from the best on the first axis on."""
    ordered = points.reset_index(drop=True)
    signs = [1 if AXES[axis].better == "lower" else -1 for axis in (y, x)]
    first, second = (ordered[AXES[axis].column] * sign for axis, sign in zip((y, x), signs, strict=True))
    best, chosen = math.inf, []
    for position in pd.DataFrame({"first": first, "second": second}).sort_values(["first", "second"]).index:
        if second[position] < best:
            best = float(second[position])
            chosen.append(int(position))
    return chosen


def trade_off(points: pd.DataFrame, model: str, x: str = "size", y: str = "latency") -> go.Figure:
    """Two axes of AXES for one model's newest cases: Pareto fronts by version and workload, and how points moved.

    Columns: model_version, variant, backend, workload, mode, run_started_at, hardware_class, low, high, n, and those of
    the axes.
    """
    drawn = _with_edges(points, (x, y))
    across, up = AXES[x], AXES[y]
    figure = go.Figure()
    for trace in _movements(drawn, across, up):
        figure.add_trace(trace)
    for (version, workload), group in drawn.groupby(["model_version", "workload"], sort=False):
        some = group.reset_index(drop=True)
        on_front = front(some, x, y)
        line = some.loc[on_front].sort_values(across.column)
        shade = theme.colour(f"{version} {workload}")
        figure.add_trace(
            go.Scatter(
                x=line[across.column],
                y=line[up.column],
                mode="lines",
                line={"color": shade, "dash": "dot"},
                name=f"front of {version} on {workload}",
                hoverinfo="skip",
            )
        )
        figure.add_trace(
            go.Scatter(
                x=some[across.column],
                y=some[up.column],
                mode="markers+text",
                name=f"{version} on {workload}",
                text=[_configuration(row) for _, row in some.iterrows()],
                textposition="top center",
                marker={"size": 12, "color": shade, "opacity": [1.0 if i in on_front else 0.45 for i in some.index]},
                error_y=whiskers(some["latency_ms"], some["low"], some["high"]) if y == "latency" else None,
                error_x=whiskers(some["latency_ms"], some["low"], some["high"]) if x == "latency" else None,
                hovertemplate="%{text}<br>" + f"%{{y:.5g}} {y}, %{{x:.5g}} {x}<extra>{version} on {workload}</extra>",
            )
        )
    hardware = ", ".join(sorted(set(points["hardware_class"])))
    finish(figure, f"{model}: {y} against {x} ({hardware}; n = {len(points)} cases)", across.title, up.title, 520)
    for axis, update in ((across, figure.update_xaxes), (up, figure.update_yaxes)):
        update(rangemode="normal" if axis.column == "sqnr_db" else "tozero")
    return figure


def _configuration(row: Any) -> str:
    mode = str(row["mode"]).partition(", ")[2] if "mode" in row else ""
    return f"{row['variant']} / {row['backend']}" + (f" ({mode})" if mode else "")


def _with_edges(points: pd.DataFrame, axes: tuple[str, str]) -> pd.DataFrame:
    """Infinite values (equal outputs) at an edge beyond the finite ones, so that they can be drawn."""
    drawn = points.copy()
    for axis in axes:
        column = AXES[axis].column
        finite = [value for value in drawn[column] if math.isfinite(value)]
        drawn[column] = drawn[column].replace(math.inf, max(finite, default=100.0) * 1.1)
    return drawn


def _movements(points: pd.DataFrame, across: Axis, up: Axis) -> list[go.Scatter]:
    """A thin line for each configuration with several versions, in the order that they first ran."""
    keys = [name for name in ("variant", "backend", "workload", "mode") if name in points.columns]
    lines = []
    for _, some in points.groupby(keys, sort=False):
        ordered = some.sort_values("run_started_at") if "run_started_at" in some.columns else some
        if len(set(ordered["model_version"])) > 1:
            lines.append(
                go.Scatter(
                    x=ordered[across.column],
                    y=ordered[up.column],
                    mode="lines",
                    showlegend=False,
                    hoverinfo="skip",
                    line={"color": theme.OUTCOMES["unknown"], "width": 1},
                    name=f"{_configuration(ordered.iloc[0])} over versions",
                )
            )
    return lines
