"""Figures of streams and explanations. Pure, like `figures`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from assay.dashboard import theme
from assay.dashboard.figures.base import HEIGHT, TICKS, finish

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
