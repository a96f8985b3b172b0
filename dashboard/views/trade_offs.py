"""Latency, size, memory and quality against each other: which variant on which backend is worth having."""

import streamlit as st

from assay.dashboard import data, filters
from assay.dashboard.figures import trade_offs as trade_off_figures
from assay.schema.queries import history as history_queries

st.title("Trade-offs")
found = data.frame(history_queries.trade_offs, filters.chosen())
if found.empty:
    filters.nothing_matches("benchmarks")

models = sorted(found["model"].unique())
model = st.selectbox("Model to weigh", models, key="weigh", bind="query-params") or models[0]
across, up = st.columns(2)
axes = list(trade_off_figures.AXES)
x = across.selectbox("Across", axes, index=axes.index("size"), key="x", bind="query-params") or "size"
y = up.selectbox("Up", axes, index=axes.index("latency"), key="y", bind="query-params") or "latency"
columns = [trade_off_figures.AXES[x].column, trade_off_figures.AXES[y].column]
points = found[found["model"] == model].dropna(subset=columns)
if points.empty:
    st.info(
        f"No case of this model has both {x} and {y}. Record one with a benchmark and a parity case: `assay run"
        " quickstart`"
    )
    st.stop()
if len(points) < 2:
    st.info("There is only one configuration: a trade-off needs two. Add a variant or a backend to the suite.")
for hardware, some in points.groupby("hardware_class"):
    st.plotly_chart(trade_off_figures.trade_off(some, model, x, y), key=f"trade_off_{hardware}", width="stretch")
st.caption(
    "Dotted: the Pareto front of a version on a workload; faded points are beaten in both; thin lines lead from a"
    " configuration's version to its next. Bars are 95 % intervals. Hosts of another class are drawn apart. Sizes of"
    " pytorch are those of its parameters."
)
st.dataframe(points, hide_index=True, key="points")
