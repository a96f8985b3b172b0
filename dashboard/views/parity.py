"""Does it still compute the same? Pass rates by output and version, margins, and the errors of one receipt."""

import streamlit as st

from dashboard import data, figures, filters, tables, theme

st.title("Parity")
history = data.frame("parity_history", filters.chosen())
if history.empty:
    filters.nothing_matches("comparisons")

st.plotly_chart(figures.pass_rates(history), key="pass_rates", width="stretch")
newest = tables.newest(history)
st.plotly_chart(figures.margins(newest), key="margins", width="stretch")

st.subheader("One receipt")
labels = tables.worst_first(newest)
wanted = st.selectbox("Newest receipt of each output, the worst first", labels, key="receipt", bind="query-params")
row = tables.picked(newest, wanted or labels[0])
left, right = st.columns([2, 1])
left.plotly_chart(figures.error_histogram(row["histogram"], wanted or labels[0]), key="histogram", width="stretch")
right.metric(
    f"{theme.ICONS.get(row['outcome'], '?')} {row['outcome']}",
    f"max |error| {theme.number(row['max_abs'])}",
    border=True,
)
right.markdown(f"**Why:** {theme.markdown(str(row['reason']))}")
right.markdown(
    f"**Worst element** at {theme.markdown(str(row['worst_index']))}: {theme.element(row['worst_expected'])} expected, {theme.element(row['worst_actual'])} came"
)
right.code(row["reproduce"], language="bash")

st.subheader("Newest receipts")
st.dataframe(tables.receipts(newest), hide_index=True, key="receipts")
