"""Every run, newest first; failed and unfinished ones too."""

import streamlit as st

from assay.dashboard import data, filters
from assay.dashboard.tables import runs as run_tables
from assay.schema.queries import runs as run_queries

st.title("Runs")
found = data.frame(run_queries.runs, filters.chosen())
if found.empty:
    filters.nothing_matches("runs")

shown = run_tables.runs(found)
picked = st.dataframe(
    shown,
    hide_index=True,
    key="runs",
    on_select="rerun",
    selection_mode="multi-row",
    column_config={"started (UTC)": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm:ss")},
)
chosen = [shown["run"].iloc[i] for i in picked.selection.rows]
st.caption("Select one run to open it, or two to compare them (the first is A).")
if len(chosen) == 1:
    st.page_link("views/run.py", label=f"Open {chosen[0]}", query_params={"id": chosen[0]}, icon=":material/article:")
if len(chosen) == 2:
    st.page_link(
        "views/compare.py",
        label="Compare these two",
        query_params={"a": chosen[0], "b": chosen[1]},
        icon=":material/compare_arrows:",
    )
