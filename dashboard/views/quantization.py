"""What does quantization cost, where, and what is better left in float?"""

import streamlit as st

from assay.dashboard import sections_quality

st.title("Quantization")
SECTIONS = {
    "Quality": sections_quality.qualities,
    "Ledger": sections_quality.ledger,
    "Calibration": sections_quality.calibrations,
    "Sensitivity": sections_quality.sensitivity,
    "Search": sections_quality.searches,
}
wanted = st.segmented_control("Look at", [*SECTIONS], default="Quality", key="quantization", bind="query-params")
SECTIONS.get(wanted or "Quality", sections_quality.qualities)()
