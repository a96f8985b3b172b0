"""Figures of speed: raw samples, steps of a generation, sweeps, operators. Pure: frames in, figures out."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from assay.dashboard import theme
from assay.dashboard.figures.base import HEIGHT, finish

_MOST_POINTS = 2000
_TOP = 20


def label(row: Any) -> str:
    """Variant and backend, and the mode of a generation."""
    mode = str(row["mode"]).partition(", ")[2]
    return f"{row['variant']} / {row['backend']}" + (f" ({mode})" if mode else "")


def distribution(rows: pd.DataFrame) -> go.Figure:
    """Raw samples of cases on one workload: the share of calls that took no longer, a line for each launch.

    Columns: variant, backend, mode, samples, launches. At most 2000 points are drawn of a launch: its quantiles,
    evenly.
    """
    figure = go.Figure()
    for _, row in rows.iterrows():
        name = label(row)
        launches = np.array_split(np.asarray(row["samples"], float), int(row["launches"]))
        for number, samples in enumerate(launches):
            shares = np.linspace(0, 1, min(len(samples), _MOST_POINTS))
            figure.add_trace(
                go.Scatter(
                    x=np.quantile(samples, shares),
                    y=shares,
                    mode="lines",
                    name=name,
                    legendgroup=name,
                    showlegend=number == 0,
                    line={"color": theme.colour(name), "width": 1.5},
                    hovertemplate=(
                        f"%{{y:.1%}} of calls within %{{x:.4g}} ms<extra>{name}, launch {number + 1}, n ="
                        f" {len(samples)}</extra>"
                    ),
                )
            )
    finish(
        figure,
        "Share of calls that took no longer (a line for each launch)",
        "wall time (ms, log scale)",
        "share of calls",
        420,
    )
    figure.update_xaxes(type="log")
    figure.update_yaxes(tickformat=".0%")
    return figure


def in_order(rows: pd.DataFrame) -> go.Figure:
    """Block medians in the order that they were taken, launches apart: drift and what a launch does are seen here.

    Columns: variant, backend, mode, samples, block_length, launches.
    """
    figure = go.Figure()
    for _, row in rows.iterrows():
        name = label(row)
        blocks = np.asarray(row["samples"], float).reshape(int(row["launches"]), -1, int(row["block_length"]))
        medians = np.median(blocks, axis=2)
        positions: list[float | None] = []
        values: list[float | None] = []
        for launch, some in enumerate(medians):
            positions += [*(launch + 1 + np.arange(len(some)) / len(some) * 0.8), None]
            values += [*some, None]
        figure.add_trace(
            go.Scatter(
                x=positions,
                y=values,
                mode="lines+markers",
                name=name,
                connectgaps=False,
                line={"color": theme.colour(name)},
                marker={"symbol": theme.symbol(name)},
                hovertemplate="%{y:.4g} ms<extra>" + name + "</extra>",
            )
        )
    finish(figure, "Medians of blocks in the order taken", "launch", "median of a block (ms)")
    figure.update_xaxes(dtick=1)
    figure.update_yaxes(rangemode="tozero")
    return figure


def intervals(rows: pd.DataFrame) -> go.Figure:
    """Medians with their 95 % intervals, the fastest on top.

    Columns: variant, backend, mode, value, low, high, n, launches.
    """
    ordered = rows.sort_values("value", ascending=False)
    names = [label(row) for _, row in ordered.iterrows()]
    figure = go.Figure(
        go.Scatter(
            x=ordered["value"],
            y=names,
            mode="markers",
            marker={"size": 11, "color": [theme.colour(n) for n in names]},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": (ordered["high"] - ordered["value"]).fillna(0).tolist(),
                "arrayminus": (ordered["value"] - ordered["low"]).fillna(0).tolist(),
                "thickness": 1.5,
                "color": theme.OUTCOMES["unknown"],
            },
            customdata=ordered[["n", "launches"]],
            hovertemplate="%{y}<br>%{x:.4g} ms, n = %{customdata[0]} in %{customdata[1]} launches<extra></extra>",
        )
    )
    finish(figure, "Median with its 95 % interval", "wall time (ms)", "", max(HEIGHT // 2, 90 + 34 * len(names)))
    figure.update_xaxes(rangemode="tozero")
    return figure


def steps(rows: pd.DataFrame) -> go.Figure:
    """Median latency of each step of generations, the prompt apart as a star.

    Columns: variant, backend, mode, step, latency_ms.
    """
    figure = go.Figure()
    for _, some in rows.groupby("case_id", sort=False):
        name = label(some.iloc[0])
        tokens, prompt = some[some["step"] > 0], some[some["step"] == 0]
        shared: dict[str, Any] = {
            "legendgroup": name,
            "hovertemplate": "step %{x}: %{y:.4g} ms<extra>" + name + "</extra>",
        }
        figure.add_trace(
            go.Scatter(
                x=tokens["step"],
                y=tokens["latency_ms"],
                mode="lines",
                name=name,
                line={"color": theme.colour(name)},
                **shared,
            )
        )
        figure.add_trace(
            go.Scatter(
                x=prompt["step"],
                y=prompt["latency_ms"],
                mode="markers",
                name=f"{name}: prompt",
                showlegend=False,
                marker={"symbol": "star", "size": 12, "color": theme.colour(name)},
                **shared,
            )
        )
    finish(
        figure,
        "Latency against step (star: the prompt, which is the time to the first token)",
        "token",
        "median wall time of a step (ms, log scale)",
        420,
    )
    figure.update_yaxes(type="log")
    return figure


def sweep(rows: pd.DataFrame) -> go.Figure:
    """Throughput against batch, a line for each variant, backend and size of an item.

    Columns: variant, backend, mode, batch, input_shapes, items_per_s, workload.
    """
    figure = go.Figure()
    known = rows.dropna(subset=["batch", "items_per_s"])
    for name, some in known.groupby([f"{label(row)}, {_item(row)}" for _, row in known.iterrows()], sort=False):
        ordered = some.sort_values("batch")
        figure.add_trace(
            go.Scatter(
                x=ordered["batch"],
                y=ordered["items_per_s"],
                mode="lines+markers",
                name=str(name),
                line={"color": theme.colour(str(name))},
                marker={"symbol": theme.symbol(str(name)), "size": 9},
                customdata=ordered[["workload"]],
                hovertemplate="batch %{x}: %{y:.4g} items/s (%{customdata[0]})<extra>" + str(name) + "</extra>",
            )
        )
    finish(
        figure,
        f"Throughput against batch (n = {len(known)} cases)",
        "items in a call",
        "items/s, or tokens/s of a generation",
    )
    figure.update_xaxes(type="log", dtick="D1")
    figure.update_yaxes(rangemode="tozero")
    return figure


def _item(row: Any) -> str:
    """The first input without its batch axis: `input_ids[*,64]`."""
    first = re.match(r"([^\[]*)\[\d+(.*?)\]", str(row["input_shapes"]))
    return f"{first[1]}[*{first[2]}]" if first else "one item"


def operators(layers: pd.DataFrame) -> go.Figure:
    """The layers that take longest, beside those of the float variant that they stand for.

    Columns: name, op_type, precision, median_us, share, reference_us.
    """
    top = layers.sort_values("share", ascending=False).head(_TOP).iloc[::-1]
    names = [f"{row['name']} ({row['op_type']})" for _, row in top.iterrows()]
    figure = go.Figure(
        go.Bar(
            x=top["median_us"],
            y=names,
            orientation="h",
            name="this variant",
            marker_color=theme.PALETTE[0],
            customdata=top[["share", "precision"]],
            hovertemplate="%{y}<br>%{x:.4g} us, %{customdata[0]:.1%} of the time, %{customdata[1]}<extra></extra>",
        )
    )
    if top["reference_us"].notna().any():
        figure.add_trace(
            go.Scatter(
                x=top["reference_us"],
                y=names,
                mode="markers",
                name="in the float variant",
                marker={"symbol": "line-ns-open", "size": 16, "color": theme.PALETTE[1], "line": {"width": 3}},
                hovertemplate="%{x:.4g} us in float<extra></extra>",
            )
        )
    covered = top["share"].sum()
    finish(
        figure,
        f"Longest operators ({len(top)} of {len(layers)}: {covered:.0%} of the time)",
        "median time (us)",
        "",
        max(HEIGHT, 120 + 26 * len(top)),
    )
    return figure
