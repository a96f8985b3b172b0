"""Every model, variant and backend at a glance: does it still compute the right thing, how fast, how large."""

import streamlit as st

from assay.dashboard import data, filters
from assay.dashboard.parts import alerts as alert_parts
from assay.dashboard.tables import runs as run_tables

st.title("Overview")
found = data.overview(filters.chosen())
if found.empty:
    filters.nothing_matches("cases")

alert_parts.banner()
for column, (name, count) in zip(st.columns(5), run_tables.headline(found).items(), strict=True):
    column.metric(name, count, border=True)

st.subheader("Newest state of every model, variant and backend")
st.dataframe(
    run_tables.overview(found),
    hide_index=True,
    key="matrix",
    column_config={
        "latency history": st.column_config.LineChartColumn(
            "latency history", help="Median latency of the last runs on the same workload, oldest first."
        ),
        "verdicts before": st.column_config.TextColumn(
            help="The worst verdict of each of the last 12 runs, oldest first."
        ),
        "latency ms": st.column_config.NumberColumn(
            format="%.4g", help="Median wall time of one call; lower is better."
        ),
        "margin": st.column_config.NumberColumn(
            format="%.3g", help="Allowed / observed at the worst element; below 1 fails."
        ),
        "last run": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
        "what is wrong": st.column_config.TextColumn(width="large"),
    },
)
st.caption("The worst verdict of the newest run counts. ✓ pass, ✗ fail, ∅ compared nothing. Details: Parity, and Runs.")
