"""Figures of streams: what each step gave, which invariants held, and which input reaches which output."""

from __future__ import annotations

import math

import pandas as pd
import plotly.graph_objects as go

from assay.dashboard import theme
from assay.dashboard.figures.base import finish

_DASHES = {"functional": "solid", "closed_loop": "solid"}


_MODES = {"functional": theme.PALETTE[0], "closed_loop": theme.PALETTE[1]}


def _mode_colour(mode: str) -> str:
    return _MODES.get(mode, theme.PALETTE[3])


def error_against_step(steps: pd.DataFrame, drifts: pd.DataFrame, output: str) -> go.Figure:
    """Largest error of one output at every step, a line a mode, with its drift; crosses where the tolerance was broken.

    Columns of steps: mode, output, step, max_abs, violations, elements, atol; of drifts: mode, output, slope, low,
    high, trend, quantity. An error of zero is drawn at the foot of the logarithmic axis, and a step that compared
    nothing is left
    out.
    """
    some = steps[(steps["output"] == output) & (steps["elements"] > 0)]
    positive = [v for v in some["max_abs"].dropna() if v > 0 and math.isfinite(v)]
    foot = min(positive, default=1e-12) / 3
    figure = go.Figure()
    for mode, line in some.groupby("mode", sort=False):
        drawn = line["max_abs"].clip(lower=foot)
        figure.add_trace(
            go.Scatter(
                x=line["step"],
                y=drawn,
                mode="lines",
                name=str(mode),
                line={"color": _mode_colour(str(mode)), "width": 2, "dash": _DASHES.get(str(mode), "dot")},
                customdata=line["max_abs"],
                hovertemplate="step %{x}: %{customdata:.3g}<extra>" + str(mode) + "</extra>",
            )
        )
        broken = line[line["violations"] > 0]
        if not broken.empty:
            figure.add_trace(
                go.Scatter(
                    x=broken["step"],
                    y=broken["max_abs"].clip(lower=foot),
                    mode="markers",
                    name=f"{mode}: outside the tolerance",
                    marker={"symbol": "x", "size": 6, "color": theme.OUTCOMES["fail"]},
                    hoverinfo="skip",
                )
            )
    limits = sorted({v for v in some["atol"].dropna() if v > 0})
    if len(limits) == 1 and not some.empty:
        ends = [some["step"].min(), some["step"].max()]
        dashed = {"color": theme.OUTCOMES["unknown"], "dash": "dash", "width": 1}
        figure.add_trace(
            go.Scatter(x=ends, y=limits * 2, mode="lines", name=f"atol {limits[0]:g}", line=dashed, hoverinfo="skip")
        )
    words = _drift_words(drifts, output)
    finish(
        figure,
        f"{output}: largest error by step (n = {some['step'].nunique()} steps){words}",
        "step",
        "max |actual - expected| (output units, log scale)",
        420,
    )
    figure.update_yaxes(type="log")
    return figure


def _drift_words(drifts: pd.DataFrame, output: str) -> str:
    if drifts.empty:
        return ""
    mine = drifts[(drifts["output"] == output) & (drifts["quantity"] == "max_abs")]
    told = [
        f"{row['mode']} {row['slope']:+.2g} a step [{row['low']:.2g}, {row['high']:.2g}], {row['trend']}"
        for _, row in mine.iterrows()
    ]
    return "<br><sup>drift: " + "; ".join(told) + "</sup>" if told else ""


def latency_against_step(steps: pd.DataFrame) -> go.Figure:
    """Wall time of each step, a line a mode. Columns: mode, step, latency_ms."""
    figure = go.Figure()
    once = steps.dropna(subset=["latency_ms"]).drop_duplicates(["mode", "step"])
    for mode, line in once.groupby("mode", sort=False):
        figure.add_trace(
            go.Scatter(
                x=line["step"],
                y=line["latency_ms"],
                mode="lines",
                name=str(mode),
                line={"color": _mode_colour(str(mode))},
                hovertemplate="step %{x}: %{y:.4g} ms<extra>" + str(mode) + "</extra>",
            )
        )
    finish(
        figure, f"Latency by step (n = {once['step'].nunique()} steps; the call alone)", "step", "wall time (ms)", 300
    )
    figure.update_yaxes(rangemode="tozero")
    return figure


_STRIP = 300


def invariants_strip(invariants: pd.DataFrame, steps: int) -> go.Figure:
    """Every invariant over the steps: held or broken. Columns: name, kind, side, mode, checked, broken, broken_steps.

    Long streams are drawn in at most 300 columns; one is broken if any of its steps is.
    """
    columns = min(steps, _STRIP)
    labels, rows = [], []
    for _, row in invariants.iterrows():
        labels.append(f"{row['name']} ({row['mode']}, {row['side']}{', premise' if row['kind'] == 'premise' else ''})")
        cells = [0 if row["checked"] else 2] * columns
        for step in row["broken_steps"]:
            cells[min(columns - 1, int(step * columns / max(steps, 1)))] = 1
        rows.append(cells)
    colours = [
        [0, theme.OUTCOMES["pass"]],
        [0.33, theme.OUTCOMES["pass"]],
        [0.34, theme.OUTCOMES["fail"]],
        [0.66, theme.OUTCOMES["fail"]],
        [0.67, theme.OUTCOMES["unknown"]],
        [1, theme.OUTCOMES["unknown"]],
    ]
    words = [["held", "broken", "not checked"][cell] for cells in rows for cell in cells]
    text = [words[i * columns : (i + 1) * columns] for i in range(len(rows))]
    figure = go.Figure(
        go.Heatmap(
            z=rows,
            y=labels,
            x=[i * steps / columns for i in range(columns)],
            colorscale=colours,
            zmin=0,
            zmax=2,
            showscale=False,
            ygap=3,
            text=text,
            hovertemplate="%{y}<br>step %{x:.0f}: %{text}<extra></extra>",
        )
    )
    broken = int((invariants["broken"] > 0).sum())
    finish(figure, f"Invariants (n = {len(rows)}; {broken} broken)", "step", "", 110 + 26 * len(rows))
    return figure


def liveness(moved: pd.DataFrame) -> go.Figure:
    """How far each output moves when an input is perturbed, over the output's range.

    Columns: side, input, output, relative, is_state.
    """
    table = moved.assign(
        row=moved["input"] + moved["is_state"].map({True: " (state)", False: ""}) + ", " + moved["side"]
    )
    grid = table.pivot_table(index="row", columns="output", values="relative", aggfunc="max", sort=False)
    values = grid.to_numpy()
    text = [["-" if math.isnan(v) else "0" if v == 0 else f"{v:.2g}" for v in line] for line in values]
    reached = [[int(not math.isnan(v) and v > 0) for v in line] for line in values]
    figure = go.Figure(
        go.Heatmap(z=reached,
            x=list(grid.columns), y=list(grid.index), text=text,
                   texttemplate="%{text}", colorscale=[[0, "rgba(128,128,128,0.15)"], [1, theme.PALETTE[0]]], showscale=False, xgap=2, ygap=2, zmin=0, zmax=1,
                   hovertemplate="%{y} moves %{x} by %{text} of its range<extra></extra>")
    )  # fmt: skip
    finish(
        figure,
        "Which input reaches which output (change over the output's range; 0 does not reach)",
        "output",
        "perturbed input",
        140 + 26 * len(grid),
    )
    return figure
