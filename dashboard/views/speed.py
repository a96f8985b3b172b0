"""How fast is it, and why? Distributions, generations, sweeps over batches, operators."""

import streamlit as st

from assay.dashboard.parts import speed as speed_parts

st.title("Speed")
SECTIONS = {
    "Distributions": speed_parts.distributions,
    "Generations": speed_parts.generations,
    "Batches": speed_parts.sweeps,
    "Operators": speed_parts.operators,
}
wanted = st.segmented_control("Look at", [*SECTIONS], default="Distributions", key="speed", bind="query-params")
SECTIONS.get(wanted or "Distributions", speed_parts.distributions)()
