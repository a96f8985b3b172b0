"""Figures of explanations: the node at which an error begins, and what each link of the chain adds."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from assay.dashboard import theme
from assay.dashboard.figures.base import HEIGHT, finish


def divergence(entries: pd.DataFrame) -> go.Figure:
    """Each node's own error beside the accumulated one, in the order of execution; the first suspect is marked.

    Columns: position, node, op_type, layer, reference_node, local_rel_l2, accumulated_rel_l2, expected_rel_l2, suspect.
    """
    foot = 1e-9
    figure = go.Figure()
    for column, label, shade in (
        ("accumulated_rel_l2", "accumulated", theme.PALETTE[8]),
        ("local_rel_l2", "by itself", theme.PALETTE[0]),
    ):
        figure.add_trace(
            go.Scatter(
                x=entries["position"],
                y=entries[column].astype(float).clip(lower=foot),
                mode="lines+markers",
                name=label,
                line={"color": shade, "width": 1},
                marker={"size": 5},
                customdata=entries[["node", "op_type", "layer", "reference_node"]],
                hovertemplate=(
                    "%{customdata[1]} %{customdata[0]}<br>%{customdata[2]}<br>%{customdata[3]}<br>%{y:.3g}<extra>"
                )
                + label
                + "</extra>",
            )
        )
    figure.add_trace(
        go.Scatter(
            x=entries["position"],
            y=entries["expected_rel_l2"],
            mode="lines",
            name="what rounding may do",
            line={"color": theme.OUTCOMES["unknown"], "dash": "dot"},
            hoverinfo="skip",
        )
    )
    first = entries[entries["suspect"]]
    if not first.empty:
        row = first.iloc[0]
        figure.add_trace(
            go.Scatter(
                x=[row["position"]],
                y=[max(float(row["local_rel_l2"] or foot), foot)],
                mode="markers+text",
                name="first suspect",
                text=[row["node"]],
                textposition="top center",
                marker={"size": 13, "symbol": "x", "color": theme.OUTCOMES["fail"]},
                hoverinfo="skip",
            )
        )
    finish(
        figure,
        f"Error by node (n = {len(entries)} tensors with a counterpart)",
        "node, in the order of execution",
        "relative L2 error (log scale)",
        420,
    )
    figure.update_yaxes(type="log")
    return figure


def blame(edges: pd.DataFrame) -> go.Figure:
    """What each link of the chain adds to each output. Columns: position, edge_from, edge_to, output, rel_l2."""
    moved = edges[edges["rel_l2"] > 0]
    order = list(
        dict.fromkeys(edges.sort_values("position")["edge_from"] + " → " + edges.sort_values("position")["edge_to"])
    )
    figure = go.Figure()
    for output, some in moved.groupby("output", sort=False):
        figure.add_trace(
            go.Bar(
                y=some["edge_from"] + " → " + some["edge_to"],
                x=some["rel_l2"],
                name=str(output),
                orientation="h",
                marker_color=theme.colour(str(output)),
                hovertemplate="%{y}<br>%{x:.3g}<extra>" + str(output) + "</extra>",
            )
        )
    finish(
        figure,
        "The chain: error that each link adds",
        "relative L2 error (log scale)",
        "",
        max(HEIGHT, 120 + 60 * len(order)),
    )
    figure.update_xaxes(type="log")
    figure.update_yaxes(categoryorder="array", categoryarray=order[::-1])
    return figure
