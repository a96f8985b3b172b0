"""Frames in, plotly figures out. Pure: no Streamlit, no database; colours and units come from `theme`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from assay.dashboard import theme

_MARGIN = {"l": 10, "r": 10, "t": 40, "b": 10}
HEIGHT = 360
_TICKS = 8


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
    figure.update_xaxes(type="category", nticks=_TICKS * 2)
    return figure


def _whiskers(value: pd.Series, low: pd.Series, high: pd.Series) -> dict[str, Any]:
    """Error bars of an interval; a point without one has none."""
    return {
        "type": "data",
        "symmetric": False,
        "array": (high - value).fillna(0).tolist(),
        "arrayminus": (value - low).fillna(0).tolist(),
        "thickness": 1,
    }


@dataclass(frozen=True, slots=True)
class Axis:
    """One way to weigh configurations."""

    column: str
    title: str
    better: str
    """`lower` or `higher`."""


AXES = {
    "latency": Axis("latency_ms", "median latency of a call, or of a token (ms)", "lower"),
    "size": Axis("model_bytes", "weights or file (bytes)", "lower"),
    "memory": Axis("peak_rss_bytes", "peak resident memory of the process (bytes)", "lower"),
    "bits": Axis("bits_per_weight", "stored bits per weight", "lower"),
    "throughput": Axis("items_per_s", "items or tokens per second", "higher"),
    "quality": Axis("sqnr_db", "worst output's SQNR against the reference (dB; equal outputs at the edge)", "higher"),
}
"""Name in the URL -> what is drawn. Columns are those of `assay.schema.queries.trade_offs`."""


def front(points: pd.DataFrame, x: str = "size", y: str = "latency") -> list[int]:
    """Positions of the points that no other one beats on both axes.

    From the best on the first to the best on the second.
    """
    ordered = points.reset_index(drop=True)
    signs = [1 if AXES[axis].better == "lower" else -1 for axis in (y, x)]
    first, second = (ordered[AXES[axis].column] * sign for axis, sign in zip((y, x), signs, strict=True))
    best, chosen = math.inf, []
    for position in pd.DataFrame({"first": first, "second": second}).sort_values(["first", "second"]).index:
        if second[position] < best:
            best = float(second[position])
            chosen.append(int(position))
    return chosen


def trade_off(points: pd.DataFrame, model: str, x: str = "size", y: str = "latency") -> go.Figure:
    """Two axes of AXES for one model's newest cases, with the Pareto front of each version and workload.

    And how points moved.

    Columns: model_version, variant, backend, workload, mode, run_started_at, hardware_class, low, high, n, and those of
    the axes.
    """
    drawn = _with_edges(points, (x, y))
    across, up = AXES[x], AXES[y]
    figure = go.Figure()
    for trace in _movements(drawn, across, up):
        figure.add_trace(trace)
    for (version, workload), group in drawn.groupby(["model_version", "workload"], sort=False):
        some = group.reset_index(drop=True)
        on_front = front(some, x, y)
        line = some.loc[on_front].sort_values(across.column)
        shade = theme.colour(f"{version} {workload}")
        figure.add_trace(
            go.Scatter(
                x=line[across.column],
                y=line[up.column],
                mode="lines",
                line={"color": shade, "dash": "dot"},
                name=f"front of {version} on {workload}",
                hoverinfo="skip",
            )
        )
        figure.add_trace(
            go.Scatter(
                x=some[across.column],
                y=some[up.column],
                mode="markers+text",
                name=f"{version} on {workload}",
                text=[_configuration(row) for _, row in some.iterrows()],
                textposition="top center",
                marker={"size": 12, "color": shade, "opacity": [1.0 if i in on_front else 0.45 for i in some.index]},
                error_y=_whiskers(some["latency_ms"], some["low"], some["high"]) if y == "latency" else None,
                error_x=_whiskers(some["latency_ms"], some["low"], some["high"]) if x == "latency" else None,
                hovertemplate="%{text}<br>" + f"%{{y:.5g}} {y}, %{{x:.5g}} {x}<extra>{version} on {workload}</extra>",
            )
        )
    hardware = ", ".join(sorted(set(points["hardware_class"])))
    finish(figure, f"{model}: {y} against {x} ({hardware}; n = {len(points)} cases)", across.title, up.title, 520)
    for axis, update in ((across, figure.update_xaxes), (up, figure.update_yaxes)):
        update(rangemode="normal" if axis.column == "sqnr_db" else "tozero")
    return figure


def _configuration(row: Any) -> str:
    mode = str(row["mode"]).partition(", ")[2] if "mode" in row else ""
    return f"{row['variant']} / {row['backend']}" + (f" ({mode})" if mode else "")


def _with_edges(points: pd.DataFrame, axes: tuple[str, str]) -> pd.DataFrame:
    """Infinite values (equal outputs) at an edge beyond the finite ones, so that they can be drawn."""
    drawn = points.copy()
    for axis in axes:
        column = AXES[axis].column
        finite = [value for value in drawn[column] if math.isfinite(value)]
        drawn[column] = drawn[column].replace(math.inf, max(finite, default=100.0) * 1.1)
    return drawn


def _movements(points: pd.DataFrame, across: Axis, up: Axis) -> list[go.Scatter]:
    """A thin line for each configuration with several versions, in the order that they first ran."""
    keys = [name for name in ("variant", "backend", "workload", "mode") if name in points.columns]
    lines = []
    for _, some in points.groupby(keys, sort=False):
        ordered = some.sort_values("run_started_at") if "run_started_at" in some.columns else some
        if len(set(ordered["model_version"])) > 1:
            lines.append(
                go.Scatter(
                    x=ordered[across.column],
                    y=ordered[up.column],
                    mode="lines",
                    showlegend=False,
                    hoverinfo="skip",
                    line={"color": theme.OUTCOMES["unknown"], "width": 1},
                    name=f"{_configuration(ordered.iloc[0])} over versions",
                )
            )
    return lines


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
                **_whiskers(known["ratio"], known["ratio_low"], known["ratio_high"]),
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
