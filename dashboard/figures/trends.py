"""How a figure moved over the runs."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from assay.dashboard import theme
from assay.dashboard.figures.base import finish

_SERIES = ["model", "variant", "backend", "workload", "hardware_class"]


def trend(
    points: pd.DataFrame, metric: str, unit: str, better: str, gaps: pd.DataFrame | None = None, *, log: bool = False
) -> go.Figure:
    """One line per series over time, with its 95 % interval.

    Broken where the hardware class changes or a run left no figure.

    Columns of points: model, variant, backend, workload, hardware_class, started_at, model_version, value, low, high;
    of gaps: the same names, with reason instead of the figures.
    """
    figure = go.Figure()
    for key, series in points.groupby(_SERIES, sort=False):
        label = " / ".join(str(part) for part in tuple(key)[:4])
        missing = _missing(gaps, key)
        figure.add_trace(_line(pd.concat([series, missing]).sort_values("started_at"), label, unit))
        if not missing.empty:
            figure.add_trace(_crosses(missing, float(series["value"].min()), label))
    hardware = ", ".join(sorted(set(points["hardware_class"])))
    arrow = {"lower": "lower is better", "higher": "higher is better"}.get(better, "")
    title = f"{metric} ({arrow}; n = {len(points)} points; {hardware})"
    finish(figure, title, "run started (UTC)", f"{metric} ({unit})", 480)
    figure.update_yaxes(type="log" if log else "linear", rangemode="normal" if log else "tozero")
    if log and (
        positive := [v for v in points["value"] if v > 0]
    ):  # a decade at least, so that noise does not fill the chart
        low, high = math.log10(min(positive)), math.log10(max(positive))
        pad = max(0.1, (1 - (high - low)) / 2)
        figure.update_yaxes(range=[low - pad, high + pad])
    return figure


def _missing(gaps: pd.DataFrame | None, key: tuple[Any, ...]) -> pd.DataFrame:
    """The gaps of one series."""
    if gaps is None or gaps.empty:
        return pd.DataFrame(columns=["started_at", "reason"])
    chosen: pd.DataFrame = gaps[(gaps[_SERIES] == list(key)).all(axis=1)]
    return chosen


def _line(series: pd.DataFrame, label: str, unit: str) -> go.Scatter:
    known = series.dropna(subset=["value"])
    complete = not known[["low", "high"]].isna().any().any()
    error = {
        "type": "data",
        "symmetric": False,
        "array": (series["high"] - series["value"]).tolist(),
        "arrayminus": (series["value"] - series["low"]).tolist(),
        "thickness": 1,
    }
    return go.Scatter(
        x=series["started_at"],
        y=series["value"],
        mode="lines+markers",
        name=label,
        connectgaps=False,
        line={"color": theme.colour(label)},
        marker={"size": 8, "symbol": theme.symbol(label)},
        error_y=error if complete else None,
        customdata=series[["model_version", "hardware_class"]],
        hovertemplate="%{y:.4g} "
        + unit
        + "<br>version %{customdata[0]}<br>%{customdata[1]}<br>%{x}<extra>"
        + label
        + "</extra>",
    )


def _crosses(missing: pd.DataFrame, height: float, label: str) -> go.Scatter:
    """Where a run left no figure, and why; drawn at the height of the series' least value."""
    return go.Scatter(
        x=missing["started_at"],
        y=[height] * len(missing),
        mode="markers",
        name=f"no figure: {label}",
        marker={"symbol": "x", "size": 11, "color": theme.OUTCOMES["fail"]},
        customdata=missing[["reason"]],
        hovertemplate="%{customdata[0]}<br>%{x}<extra>no figure</extra>",
    )
