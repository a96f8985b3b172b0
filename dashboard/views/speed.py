"""How fast is it, and why? Distributions, generations, sweeps over batches, operators."""

import streamlit as st

from assay.dashboard import sections_speed

st.title("Speed")
SECTIONS = {
    "Distributions": sections_speed.distributions,
    "Generations": sections_speed.generations,
    "Batches": sections_speed.sweeps,
    "Operators": sections_speed.operators,
}
wanted = st.segmented_control("Look at", [*SECTIONS], default="Distributions", key="speed", bind="query-params")
SECTIONS.get(wanted or "Distributions", sections_speed.distributions)()
