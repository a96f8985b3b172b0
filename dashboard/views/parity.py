"""Does it still compute the same? Receipts, streams step by step, explanations, noise, and what is waived."""

import streamlit as st

from assay.dashboard.parts import parity as parity_parts

st.title("Parity")
SECTIONS = {
    "Receipts": parity_parts.receipts,
    "Steps": parity_parts.steps,
    "Explanations": parity_parts.explanations,
    "Noise": parity_parts.noise,
    "Waivers": parity_parts.waivers,
}
wanted = st.segmented_control("Look at", [*SECTIONS], default="Receipts", key="look", bind="query-params")
SECTIONS.get(wanted or "Receipts", parity_parts.receipts)()
