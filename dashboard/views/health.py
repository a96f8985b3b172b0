"""How far the books can be trusted: the noise and validity of series, what is measured on time, who was told."""

import streamlit as st

from assay.dashboard import sections_alerts

st.title("Health")
part = st.segmented_control(
    "Of", ["Series", "Schedule", "Notifications"], default="Series", key="health_of", bind="query-params"
)
if part == "Schedule":
    sections_alerts.schedule()
elif part == "Notifications":
    sections_alerts.told()
else:
    sections_alerts.trust()
