"""Figures of quantization: what is lost, tensor by tensor, by calibration, node by node, and what a search tried.

Pure.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from assay.dashboard import theme
from assay.dashboard.figures.base import HEIGHT, finish

PROFILES = {"high-precision": 0.01, "general": 0.03, "real-time": 0.05}
"""Largest relative loss that each profile allows."""
_CEILING = 100.0
"""An infinite ratio is drawn here."""
_ORIGINS = {
    "quantize nothing": "circle-open",
    "quantize all": "square",
    "products only": "star",
    "noise per time": "diamond",
    "products only, noise per time": "star-triangle-up",
    "worst by SQNR": "x",
}


def drops(rows: pd.DataFrame) -> go.Figure:
    """Relative loss of the main metric with its 95 % interval, one line a variant, and what each profile allows.

    Columns: variant, backend, metric, value, drop, low, high, n.
    """
    names = rows["variant"] + " / " + rows["backend"]
    low, high = (rows["drop"] - rows["low"]).fillna(0), (rows["high"] - rows["drop"]).fillna(0)
    figure = go.Figure(
        go.Scatter(
            x=rows["drop"],
            y=names,
            mode="markers",
            marker={"size": 11, "color": [theme.colour(v) for v in rows["variant"]]},
            error_x={"type": "data", "array": high.clip(lower=0), "arrayminus": low.clip(lower=0), "color": "#7b8794"},
            customdata=np.stack([rows["metric"], rows["value"], rows["n"]], axis=-1),
            hovertemplate=(
                "%{y}<br>%{x:.2%} worse<br>%{customdata[0]} %{customdata[1]:.4f}, n = %{customdata[2]}<extra></extra>"
            ),
            showlegend=False,
        )
    )
    for number, (profile, most) in enumerate(PROFILES.items()):
        figure.add_vline(x=most, line={"dash": "dot", "color": "#7b8794"})
        figure.add_annotation(
            x=most,
            y=0,
            yref="paper",
            yanchor="bottom",
            xanchor="left",
            text=profile,
            showarrow=False,
            yshift=13 * number,
        )
    finish(
        figure,
        "Loss against the reference, 95 % interval",
        "relative loss (positive is worse)",
        "",
        160 + 34 * len(rows),
    )
    figure.update_xaxes(tickformat=".1%")
    return figure


def depth(entries: pd.DataFrame) -> go.Figure:
    """Signal-to-noise of activations in the order that the graph reads them, then of the results of coded weights.

    Alone, simulated, executed.

    Columns: kind, name, op_type, sqnr_db, accumulated_sqnr_db, executed_sqnr_db. A line is left out where nothing is
    known of it.
    """
    rows = entries[entries["kind"].isin(["activation", "output"])]
    figure = go.Figure()
    lines = {
        "this tensor alone": ("sqnr_db", theme.PALETTE[2], "dot"),
        "simulated": ("accumulated_sqnr_db", theme.PALETTE[0], "dash"),
        "executed": ("executed_sqnr_db", theme.PALETTE[1], "solid"),
    }
    for name, (column, colour, dash) in lines.items():
        if rows[column].notna().any():
            figure.add_trace(
                go.Scatter(
                    x=list(range(len(rows))),
                    y=_capped(rows[column]),
                    mode="lines+markers",
                    name=name,
                    line={"color": colour, "dash": dash},
                    text=rows["name"] + " (" + rows["op_type"] + ")",
                    hovertemplate="%{text}<br>%{y:.1f} dB<extra>" + name + "</extra>",
                )
            )
    finish(
        figure,
        "Error against depth",
        "activation, in the order it is read",
        "signal to quantization noise (dB)",
        HEIGHT,
    )
    return figure


def methods(rows: pd.DataFrame, column: str = "sqnr_db") -> go.Figure:
    """Calibrations side by side: variants by tensors, in dB.

    Columns: variant, name, position, and the one that is drawn.
    """
    order = list(dict.fromkeys(rows.sort_values("position")["name"]))
    table = rows.pivot_table(index="variant", columns="name", values=column, aggfunc="first").reindex(columns=order)
    figure = go.Figure(
        go.Heatmap(
            z=table.clip(upper=_CEILING).to_numpy(),
            x=list(table.columns),
            y=list(table.index),
            colorscale="Viridis",
            zmin=10,
            zmax=60,
            colorbar={"title": "dB"},
            hovertemplate="%{y}<br>%{x}<br>%{z:.1f} dB<extra></extra>",
        )
    )
    finish(figure, "Each activation by each variant", "", "", 160 + 34 * len(table))
    figure.update_xaxes(tickangle=-45, showgrid=False)
    figure.update_yaxes(showgrid=False)
    return figure


def sensitivity(nodes: pd.DataFrame) -> go.Figure:
    """Each node quantized alone, and left in float alone: what the outputs keep.

    Columns: node, op_type, alone_sqnr_db, without_sqnr_db.
    """
    labels = nodes["node"] + " (" + nodes["op_type"] + ")"
    values = [_capped(nodes["alone_sqnr_db"]), _capped(nodes["without_sqnr_db"])]
    figure = go.Figure(
        go.Heatmap(
            z=np.array(values, float).T,
            x=["quantized alone", "left in float alone"],
            y=labels,
            colorscale="Viridis",
            colorbar={"title": "dB"},
            texttemplate="%{z:.1f}",
            hovertemplate="%{y}<br>%{x}: %{z:.1f} dB<extra></extra>",
        )
    )
    finish(figure, "Sensitivity of the outputs (lower is worse)", "", "", 160 + 26 * len(nodes))
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_xaxes(showgrid=False)
    return figure


def search(trials: pd.DataFrame) -> go.Figure:
    """Trials by latency and loss; the front is a line, the choice is ringed.

    Columns as `assay.schema.rows.SearchTrial`.
    """
    rows = trials[trials["drop_relative"].notna() & trials["latency_ratio"].notna()]
    figure = go.Figure()
    best = rows[rows["front"]].sort_values("latency_ratio")
    figure.add_trace(
        go.Scatter(
            x=best["latency_ratio"],
            y=best["drop_relative"],
            mode="lines",
            line={"color": "#7b8794", "dash": "dot"},
            name="front",
            hoverinfo="skip",
        )
    )
    for origin, some in rows.groupby("origin", sort=False):
        figure.add_trace(_trials(str(origin), some))
    chosen = rows[rows["chosen"]]
    figure.add_trace(
        go.Scatter(
            x=chosen["latency_ratio"],
            y=chosen["drop_relative"],
            mode="markers",
            name="chosen",
            hoverinfo="skip",
            marker={"size": 20, "symbol": "circle-open", "color": theme.OUTCOMES["pass"], "line": {"width": 3}},
        )
    )
    finish(
        figure,
        "What was tried: loss against latency",
        "latency over the float variant's",
        "relative loss (positive is worse)",
        480,
    )
    figure.update_yaxes(tickformat=".1%")
    return figure


def _trials(origin: str, some: pd.DataFrame) -> go.Scatter:
    return go.Scatter(
        x=some["latency_ratio"],
        y=some["drop_relative"],
        mode="markers",
        name=origin,
        marker={"size": 10, "symbol": _ORIGINS.get(origin, "circle"), "color": theme.colour(origin)},
        error_y=_bars(some, "drop_relative", "drop_low", "drop_high"),
        error_x=_bars(some, "latency_ratio", "ratio_low", "ratio_high"),
        customdata=[len(names) for names in some["excluded"]],
        text=some["variant"],
        hovertemplate="%{text}<br>%{customdata} nodes in float<br>%{x:.3g}x, %{y:.2%}<extra>" + origin + "</extra>",
    )


def _bars(rows: pd.DataFrame, value: str, low: str, high: str) -> dict[str, Any]:
    return {
        "type": "data",
        "array": (rows[high] - rows[value]).fillna(0).clip(lower=0),
        "arrayminus": (rows[value] - rows[low]).fillna(0).clip(lower=0),
        "thickness": 1,
    }


def _capped(values: pd.Series) -> list[float | None]:
    """Infinity is drawn at 100 dB, what is unknown as a gap."""
    return [None if value is None or math.isnan(value) else min(float(value), _CEILING) for value in values]
