"""What every figure shares: layout, height and whiskers."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go

_MARGIN = {"l": 10, "r": 10, "t": 40, "b": 10}


HEIGHT = 360


TICKS = 8


def finish(figure: go.Figure, title: str, x: str, y: str, height: int = HEIGHT) -> go.Figure:
    """Title, axes with their units, and the look that all figures share."""
    figure.update_layout(
        title={"text": title, "font": {"size": 15}},
        margin=_MARGIN,
        height=height,
        uirevision="keep",
        legend={"orientation": "h", "y": -0.22},
        hoverlabel={"namelength": -1},
    )
    figure.update_xaxes(title_text=x, automargin=True)
    figure.update_yaxes(title_text=y, automargin=True)
    return figure


def whiskers(value: pd.Series, low: pd.Series, high: pd.Series) -> dict[str, Any]:
    """Error bars of an interval; a point without one has none."""
    return {
        "type": "data",
        "symmetric": False,
        "array": (high - value).fillna(0).tolist(),
        "arrayminus": (value - low).fillna(0).tolist(),
        "thickness": 1,
    }
