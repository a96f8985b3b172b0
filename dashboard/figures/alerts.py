"""Changes and alerts as plotly figures. Pure."""

from __future__ import annotations

from html import escape

import pandas as pd
import plotly.graph_objects as go

from assay.dashboard import theme
from assay.dashboard.figures.base import finish

_WORSE, _BETTER, _CUT = theme.OUTCOMES["fail"], theme.OUTCOMES["pass"], theme.OUTCOMES["unknown"]


def marked(figure: go.Figure, changes: pd.DataFrame, cuts: pd.DataFrame) -> go.Figure:
    """A trend with its changes and the nights where the environment cut it.

    A change is a triangle at the first night of the new level, the reason in its hover.

    Columns of changes: started_at, direction, message, name, version_before, version, state, state_reason, decided_by,
    after; of cuts: started_at, differs, series.
    """
    for _, cut in cuts.iterrows():
        figure.add_vline(x=cut["started_at"], line={"color": _CUT, "dash": "dot", "width": 1})
    if len(cuts):
        figure.add_trace(
            go.Scatter(
                x=cuts["started_at"],
                y=[1.0] * len(cuts),
                yaxis="y2",
                mode="markers",
                name="environment changed: the series is cut",
                marker={"symbol": "line-ns-open", "size": 14, "color": _CUT},
                customdata=cuts[["differs"]],
                hovertemplate="%{customdata[0]}<br>%{x}<extra>cut</extra>",
            )
        )
        figure.update_layout(yaxis2={"overlaying": "y", "range": [0, 1.02], "visible": False})
    for direction, colour, symbol, words in (
        ("regression", _WORSE, "triangle-up", "worse from here"),
        ("improvement", _BETTER, "triangle-down", "better from here"),
    ):
        some = changes[changes["direction"] == direction] if len(changes) else changes
        if len(some):
            figure.add_trace(_triangles(some, colour, symbol, words))
    return figure


def _triangles(some: pd.DataFrame, colour: str, symbol: str, words: str) -> go.Scatter:
    told = [
        f"{escape(str(row['name']))}<br>{escape(str(row['message']))}<br>version {escape(str(row['version_before']))} →"
        f" {escape(str(row['version']))}"
        + (
            f"<br>{row['state']}, {escape(str(row['decided_by']))}: {escape(str(row['state_reason']))}"
            if isinstance(row["state"], str)
            else ""
        )
        for _, row in some.iterrows()
    ]
    return go.Scatter(
        x=some["started_at"],
        y=[after[0] if len(after) else None for after in some["after"]],
        mode="markers",
        name=words,
        marker={"symbol": symbol, "size": 15, "color": colour, "line": {"width": 1.5, "color": "white"}},
        customdata=[[text] for text in told],
        hovertemplate="%{customdata[0]}<br>%{x}<extra>" + words + "</extra>",
    )


def sides(changes: pd.DataFrame) -> go.Figure:
    """Nights before and after of every series of an alert, each over the median of its nights before.

    The interval is in the hover.

    Columns: name, metric, before, after, message.
    """
    figure = go.Figure()
    count = 0
    for _, row in changes.iterrows():
        middle = float(pd.Series(row["before"]).median()) if len(row["before"]) else 0.0
        if middle == 0:
            continue
        count += 1
        label = f"{row['name']} {row['metric']}"
        for nights, place, shown in ((row["before"], 0, False), (row["after"], 1, True)):
            figure.add_trace(
                go.Box(
                    x=[["before", "after"][place]] * len(nights),
                    y=[value / middle for value in nights],
                    name=label,
                    legendgroup=label,
                    showlegend=shown,
                    boxpoints="all",
                    jitter=0.4,
                    pointpos=0,
                    marker={"color": theme.colour(label), "size": 5},
                    line={"width": 1},
                    hovertemplate="%{y:.4g}<br>" + escape(str(row["message"])) + "<extra>" + label + "</extra>",
                )
            )
    figure.update_layout(boxmode="group")
    figure.add_hline(y=1, line={"dash": "dot", "width": 1, "color": _CUT})
    return finish(figure, f"Nights before and after (n = {count} series)", "", "over the median before", 420)


def timeline(changes: pd.DataFrame) -> go.Figure:
    """What changed when: a triangle a change, in a row a case; up and red is worse, down and green is better.

    Columns: started_at, name, metric, direction, message, version, state, state_reason.
    """
    figure = go.Figure()
    for direction, colour, symbol, words in (
        ("regression", _WORSE, "triangle-up", "worse"),
        ("improvement", _BETTER, "triangle-down", "better"),
    ):
        some = changes[changes["direction"] == direction]
        if some.empty:
            continue
        told = [
            [
                f"{escape(str(row['metric']))}: {escape(str(row['message']))}<br>version {escape(str(row['version']))}"
                + (f"<br>{row['state']}: {escape(str(row['state_reason']))}" if isinstance(row["state"], str) else "")
            ]
            for _, row in some.iterrows()
        ]
        figure.add_trace(
            go.Scatter(
                x=some["started_at"],
                y=some["name"],
                mode="markers",
                name=words,
                marker={"symbol": symbol, "size": 13, "color": colour},
                customdata=told,
                hovertemplate="%{customdata[0]}<br>%{x}<extra>%{y}</extra>",
            )
        )
    rows = changes["name"].nunique()
    figure.update_yaxes(categoryorder="category descending")
    return finish(
        figure,
        f"Changes (n = {len(changes)} in {rows} cases)",
        "first night of the new level (UTC)",
        "",
        max(260, 140 + 26 * rows),
    )
