"""Two runs side by side, as ratios with their intervals."""

from __future__ import annotations

import math

import pandas as pd
import plotly.graph_objects as go

from assay.dashboard import theme
from assay.dashboard.figures.base import HEIGHT, finish, whiskers


def forest(lines: pd.DataFrame) -> go.Figure:
    """Ratio B / A of each figure with its 95 % interval, log scale, the most changed 30.

    Columns: case, name, ratio, ratio_low, ratio_high, outcome.
    """
    known = lines.dropna(subset=["ratio"])
    known = (
        known.assign(change=[abs(math.log(r)) if r > 0 else 0.0 for r in known["ratio"]]).sort_values("change").tail(30)
    )
    colours = {"worse": theme.OUTCOMES["fail"], "better": theme.OUTCOMES["pass"]}
    figure = go.Figure(
        go.Scatter(
            x=known["ratio"],
            y=known["case"] + ": " + known["name"],
            mode="markers",
            marker={"size": 10, "color": [colours.get(o, theme.OUTCOMES["unknown"]) for o in known["outcome"]]},
            error_x={
                **whiskers(known["ratio"], known["ratio_low"], known["ratio_high"]),
                "color": theme.OUTCOMES["unknown"],
            },
            customdata=known["outcome"],
            hovertemplate="%{y}<br>%{x:.3f}x: %{customdata}<extra></extra>",
        )
    )
    figure.add_vline(x=1, line_dash="dash", line_color=theme.OUTCOMES["unknown"])
    finish(
        figure,
        f"B / A, 95 % intervals (n = {len(known)} figures)",
        "ratio (log scale)",
        "",
        max(HEIGHT, 90 + 24 * len(known)),
    )
    figure.update_xaxes(type="log")
    return figure
