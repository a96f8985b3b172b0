"""One run: its samples."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from assay.dashboard import theme
from assay.dashboard.figures.base import HEIGHT, finish


def samples(rows: pd.DataFrame) -> go.Figure:
    """Raw latency samples of a run in the order taken, one box per case.

    Columns: name, samples (milliseconds).
    """
    figure = go.Figure()
    for _, row in rows.iterrows():
        values = list(row["samples"])
        figure.add_trace(
            go.Box(
                x=values[:: max(1, len(values) // 2000)],
                name=row["name"],
                boxpoints=False,
                marker_color=theme.colour(str(row["name"])),
                hovertemplate="%{x:.4g} ms<extra>" + f"n = {len(values)}" + "</extra>",
            )
        )
    finish(
        figure,
        "Latency samples, warm-up excluded",
        "wall time of one call (ms, log scale)",
        "",
        max(HEIGHT, 100 + 46 * len(rows)),
    )
    figure.update_layout(showlegend=False)
    figure.update_xaxes(type="log")
    return figure
