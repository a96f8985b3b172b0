"""What got worse, what it rests on, and what people decide about it. The URL names one: ?alert=ID"""

import streamlit as st

from assay.dashboard import data, filters
from assay.dashboard.parts import alerts as alert_parts
from assay.dashboard.tables import alerts as alert_tables
from assay.schema.queries import alerts as alert_queries
from assay.schema.rows.alerts import ACTIVE

st.title("Alerts")
found = data.frame(alert_queries.alerts, filters.chosen())
if found.empty:
    st.info(
        "No alert yet, or none matches the filters. The nightly job opens them: `assay nightly --suite quickstart`",
        icon=":material/notifications_off:",
    )
    st.stop()

which = st.segmented_control("Show", ["Waiting", "Over", "All"], default="Waiting", key="which", bind="query-params")
shown = alert_tables.waiting(found, which or "Waiting", ACTIVE)
asked = st.query_params.get("alert", "")
if asked in set(found["alert_id"]) - set(shown["alert_id"]):
    shown = found[(found["alert_id"] == asked) | found["alert_id"].isin(shown["alert_id"])]
if shown.empty:
    st.success(f"No alert waits; {len(found)} are over.", icon=":material/check:")
    st.stop()
st.dataframe(alert_tables.alerts(shown), hide_index=True, key="alerts")
row = alert_parts.pick(shown)
alert_parts.decide(row)
alert_parts.evidence(row)
