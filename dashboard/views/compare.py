"""Two runs side by side. The URL names them: ?a=latest~1&b=latest"""

import pandas as pd
import streamlit as st

from assay.dashboard import data, filters
from assay.dashboard.figures import comparison as comparison_figures
from assay.dashboard.tables import comparison as comparison_tables
from assay.schema.queries import runs as run_queries

st.title("Compare")
known = [row["run_id"] for row in data.ask(run_queries.runs, filters.chosen())]
if len(known) < 2:
    filters.nothing_matches("two runs")

sides = {}
for column, name, default in zip(st.columns(2), ("a", "b"), ("latest~1", "latest"), strict=True):
    typed = column.text_input(
        f"Run {name.upper()}: id, latest, latest~1, version:X, branch:X", default, key=name, bind="query-params"
    )
    sides[name] = data.resolve(typed or default)
    if sides[name] is None:
        column.warning(f"No run is called {typed!r}. The newest: {', '.join(known[:3])}")
if None in sides.values():
    st.stop()

document = data.compare(str(sides["a"]), str(sides["b"]))
st.code(f"assay compare {sides['a']} {sides['b']}", language="bash")
if document["environment"]:
    st.warning("The hosts differ. " + comparison_tables.environment(document["environment"]))
for row in document["overrides"]:
    st.warning(comparison_tables.override(row))
changed_only = st.toggle("Only what changed", key="changed", bind="query-params")
speed = pd.DataFrame(document["measurements"])
if not speed.empty and speed["ratio"].notna().any():
    st.plotly_chart(comparison_figures.forest(speed), key="forest", width="stretch")
st.subheader("Speed and size")
st.dataframe(
    comparison_tables.comparison(document["measurements"], changed_only=changed_only), hide_index=True, key="speed"
)
st.subheader("Parity")
st.dataframe(
    comparison_tables.comparison(document["parity"], changed_only=changed_only), hide_index=True, key="receipts"
)
