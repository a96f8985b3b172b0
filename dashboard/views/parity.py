"""Does it still compute the same? Receipts, streams step by step, explanations, noise, and what is waived."""

import streamlit as st

from assay.dashboard import sections

st.title("Parity")
SECTIONS = {
    "Receipts": sections.receipts,
    "Steps": sections.steps,
    "Explanations": sections.explanations,
    "Noise": sections.noise,
    "Waivers": sections.waivers,
}
wanted = st.segmented_control("Look at", [*SECTIONS], default="Receipts", key="look", bind="query-params")
SECTIONS.get(wanted or "Receipts", sections.receipts)()
