"""How a figure moved over the runs, for every case in the filters."""

import streamlit as st

from assay.dashboard import data, filters
from assay.dashboard.figures import alerts as alert_figures
from assay.dashboard.figures import trends as trend_figures
from assay.dashboard.tables import alerts as alert_tables
from assay.schema.metrics import LATENCY_P50_MS
from assay.schema.queries import history as history_queries

st.title("Trends")
known = {row["metric"]: row for row in data.ask(history_queries.metrics)}
metric = st.selectbox(
    "Metric",
    list(known),
    index=list(known).index(LATENCY_P50_MS) if LATENCY_P50_MS in known else 0,
    key="metric",
    bind="query-params",
)
log = st.toggle("Logarithmic axis", value=True, key="log", bind="query-params")
if metric is None:
    filters.nothing_matches("measurements")

points = data.frame(history_queries.trends, filters.chosen(), metric)
if points.empty:
    filters.nothing_matches("measurements of this metric")

st.caption(
    known[metric]["description"]
    + " Bars are 95 % intervals. A line is broken where the hardware class changes, and where a run left no figure (a"
    " red cross says why). Triangles are changes, dotted lines changes of the environment."
)
figure = trend_figures.trend(
    points,
    metric,
    known[metric]["unit"],
    known[metric]["better"],
    data.frame(history_queries.gaps, filters.chosen()),
    log=log,
)
moved, cuts = data.changes_drawn(filters.chosen(), metric, points)
st.plotly_chart(alert_figures.marked(figure, moved, cuts), key="trend", width="stretch")
if not moved.empty:
    st.subheader("What moved it")
    st.dataframe(alert_tables.changes(moved), hide_index=True, key="moved")
st.dataframe(points.drop(columns=["series_id", "metric"]), hide_index=True, key="points")
if points["run_id"].nunique() < 5:
    st.info(
        f"{points['run_id'].nunique()} runs so far: too few to call anything a trend. Record more: `assay run"
        " quickstart`"
    )
