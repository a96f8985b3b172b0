"""How far the books can be trusted: the noise and validity of series, what is measured on time, who was told."""

import streamlit as st

from assay.dashboard.parts import alerts as alert_parts

st.title("Health")
part = st.segmented_control(
    "Of", ["Series", "Schedule", "Notifications", "Bundles"], default="Series", key="health_of", bind="query-params"
)
if part == "Schedule":
    alert_parts.schedule()
elif part == "Notifications":
    alert_parts.told()
elif part == "Bundles":
    alert_parts.put_aside()
else:
    alert_parts.trust()
