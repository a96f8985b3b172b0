"""Figures of receipts: verdicts that pass, the margin to a tolerance, and how errors are spread."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from assay.dashboard import theme
from assay.dashboard.figures.base import HEIGHT, TICKS, finish


def pass_rates(receipts: pd.DataFrame) -> go.Figure:
    """Heat map: share of passing verdicts for each output and model version, in the order the versions first ran.

    Columns: model, model_version, variant, backend, output, outcome, run_started_at. A cell without a verdict stays
    empty.
    """
    table = receipts.assign(
        line=receipts["model"]
        + " / "
        + receipts["variant"]
        + " / "
        + receipts["backend"]
        + " / "
        + receipts["output"]
        + _modes(receipts),
        version=receipts["model"] + " " + receipts["model_version"],
        passed=receipts["outcome"].isin(["pass", "waived"]).astype(float),
    ).sort_values(["model", "run_started_at"])
    columns = list(dict.fromkeys(table["version"]))
    rates = table.pivot_table(index="line", columns="version", values="passed", aggfunc="mean", sort=False)[columns]
    counts = table.pivot_table(index="line", columns="version", values="passed", aggfunc="size", sort=False)[columns]
    text = [
        ["" if math.isnan(r) else f"{r:.0%} of {int(n)}" for r, n in zip(*pair, strict=True)]
        for pair in zip(rates.to_numpy(), counts.to_numpy(), strict=True)
    ]
    figure = go.Figure(
        go.Heatmap(
            z=rates.to_numpy(), x=columns, y=list(rates.index), text=text, texttemplate="%{text}", zmin=0, zmax=1, xgap=2, ygap=2,
            colorscale=[[0, theme.OUTCOMES["fail"]], [0.5, theme.OUTCOMES["vacuous"]], [1, theme.OUTCOMES["pass"]]],
            colorbar={"title": "pass rate", "tickformat": ".0%"}, hovertemplate="%{y}<br>%{x}<br>%{text} verdicts pass<extra></extra>",
        )
    )  # fmt: skip
    finish(
        figure,
        "Verdicts that pass, by output and model version",
        "model version",
        "",
        max(HEIGHT, 60 + 34 * len(rates)),
    )
    return figure


def _modes(receipts: pd.DataFrame) -> pd.Series:
    """The mode of each receipt in brackets, where it is not functional."""
    return receipts["mode"].map(lambda mode: "" if mode == "functional" else f" ({mode})")


def margins(receipts: pd.DataFrame) -> go.Figure:
    """How far each output is from its tolerance: limit / observed at its worst element, log scale; 1 is the edge.

    Columns: model, variant, backend, workload, output, margin, outcome. An error of zero has an infinite margin and is
    drawn at the right edge.
    """
    known = receipts.dropna(subset=["margin"]).sort_values("margin", ascending=False).tail(40)
    finite = [m for m in known["margin"] if math.isfinite(m) and m > 0]
    edge = max([*finite, 1.0]) * 10
    floor = min([*finite, 1.0]) / 10
    figure = go.Figure()
    for outcome in dict.fromkeys(known["outcome"]):
        some = known[known["outcome"] == outcome]
        labels = (
            some["model"]
            + " / "
            + some["variant"]
            + " / "
            + some["backend"]
            + " / "
            + some["workload"]
            + ": "
            + some["output"]
            + _modes(some)
        )
        drawn = [min(max(m, floor), edge) for m in some["margin"]]
        figure.add_trace(
            go.Scatter(
                x=drawn,
                y=labels,
                mode="markers",
                name=f"{theme.ICONS.get(outcome, '')} {outcome}",
                marker={
                    "size": 12,
                    "color": theme.OUTCOMES.get(outcome, theme.OUTCOMES["unknown"]),
                    "symbol": "circle" if outcome == "pass" else "x",
                },
                customdata=some["margin"],
                hovertemplate="%{y}<br>margin %{customdata:.4g}x<extra></extra>",
            )
        )
    figure.add_vline(x=1, line_dash="dash", line_color=theme.OUTCOMES["fail"])
    finish(
        figure,
        f"Margin to the tolerance (n = {len(known)} outputs, worst 40)",
        "allowed / observed at the worst element (1 is the edge)",
        "",
        max(HEIGHT, 90 + 24 * len(known)),
    )
    figure.update_xaxes(type="log")
    return figure


def error_histogram(counts: Sequence[int], label: str) -> go.Figure:
    """Absolute errors of one receipt by factors of two.

    64 counts as `assay.schema.rows.Parity.histogram` defines them.
    """
    names = ["exact", "< 2^-49", *[f"2^{i - 51}" for i in range(2, 64)]]
    used = [i for i, count in enumerate(counts) if count]
    shown = range(used[0], used[-1] + 1) if used else range(0)
    figure = go.Figure(
        go.Bar(
            x=[names[i] for i in shown],
            y=[counts[i] for i in shown],
            marker_color=theme.PALETTE[0],
            hovertemplate="|error| from %{x}: %{y} elements<extra></extra>",
        )
    )
    finish(
        figure,
        f"Errors of {label} (n = {sum(counts)} elements)",
        "|actual - expected| (output units, lower edge of the bin)",
        "elements",
    )
    figure.update_xaxes(type="category", nticks=TICKS * 2)
    return figure
