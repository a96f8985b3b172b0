"""What does quantization cost, where, and what is better left in float?"""

import streamlit as st

from assay.dashboard.parts import quality as quality_parts

st.title("Quantization")
SECTIONS = {
    "Quality": quality_parts.qualities,
    "Ledger": quality_parts.ledger,
    "Calibration": quality_parts.calibrations,
    "Sensitivity": quality_parts.sensitivity,
    "Search": quality_parts.searches,
}
wanted = st.segmented_control("Look at", [*SECTIONS], default="Quality", key="quantization", bind="query-params")
SECTIONS.get(wanted or "Quality", quality_parts.qualities)()
