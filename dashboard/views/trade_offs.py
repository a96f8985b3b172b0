"""Latency against size: which variant on which backend is worth having."""

import streamlit as st

from dashboard import data, figures, filters

st.title("Trade-offs")
found = data.frame("trade_offs", filters.chosen())
if found.empty:
    filters.nothing_matches("benchmarks")

models = sorted(found["model"].unique())
model = st.selectbox("Model to weigh", models, key="weigh", bind="query-params") or models[0]
points = found[found["model"] == model].dropna(subset=["latency_ms", "model_bytes"])
if points.empty:
    st.info("No benchmark of this model has both a latency and a size. Record one: `assay run quickstart`")
    st.stop()
if len(points) < 2:
    st.info("There is only one configuration: a trade-off needs two. Add a variant or a backend to the suite.")

st.plotly_chart(figures.trade_off(points, model), key="trade_off", width="stretch")
st.caption(
    "Dotted: the Pareto front of a version; faded points are beaten in both. Bars are 95 % intervals. Sizes of pytorch are those of its parameters."
)
st.dataframe(points, hide_index=True, key="points")
