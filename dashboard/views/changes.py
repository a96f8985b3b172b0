"""What changed in the last months, better and worse, with what was decided about it."""

from datetime import UTC, datetime, timedelta

import streamlit as st

from assay.dashboard import data, filters
from assay.dashboard.figures import alerts as alert_figures
from assay.dashboard.tables import alerts as alert_tables
from assay.schema.queries import alerts as alert_queries

st.title("Changes")
months = {"1 month": 31, "3 months": 92, "6 months": 183, "12 months": 366, "ever": 36_500}
span = st.selectbox("What changed in the last", [*months], index=1, key="span", bind="query-params") or "3 months"
day = datetime.now(UTC).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
found = data.frame(alert_queries.changes, filters.chosen(), day - timedelta(days=months[span]))
if found.empty:
    st.info(
        f"Nothing has changed in this time ({span}), or nothing that matches the filters. What is recorded is looked at"
        " by the nightly job, or now: `assay detect --record`",
        icon=":material/trending_flat:",
    )
    st.stop()

worse = int((found["direction"] == "regression").sum())
left, right = st.columns(2)
left.metric("Worse", worse, border=True)
right.metric("Better", len(found) - worse, border=True)
st.plotly_chart(alert_figures.timeline(found), key="timeline", width="stretch")
st.dataframe(alert_tables.changes(found), hide_index=True, key="changes")
