"""One run: what was asked, what really ran, and what came of it. The URL names it: ?id=latest"""

import streamlit as st

from assay.dashboard import data, filters
from assay.dashboard.figures import runs as run_figures
from assay.dashboard.tables import runs as run_tables
from assay.schema.queries import parity as parity_queries
from assay.schema.queries import runs as run_queries

st.title("Run")
typed = (
    st.text_input("Run: id or prefix, latest, latest~1, version:X, branch:X", "latest", key="id", bind="query-params")
    or "latest"
)
run_id = data.resolve(typed)
if run_id is None:
    newest = ", ".join(row["run_id"] for row in data.ask(run_queries.runs, filters.chosen())[:3])
    st.warning(f"No run is called {typed!r}. The newest: {newest}. Just recorded? `assay db sync` publishes it.")
    st.stop()

st.code(f"assay show {run_id}", language="bash")
environment = data.ask(run_queries.environment_of, run_id)
st.caption(
    f"{environment['hardware_class']}; {environment['os']}; torch {environment['torch']}, onnxruntime"
    f" {environment['onnxruntime']}, onnx {environment['onnx']}"
)
st.subheader("Cases, broken ones first")
cases = data.frame(run_queries.cases_of, run_id)
if cases.empty:
    st.info(f"No case of this run is recorded yet. Continue it: `assay run SUITE --resume` (run {run_id})")
    st.stop()
st.dataframe(run_tables.cases(cases), hide_index=True, key="cases")
verdicts = data.frame(parity_queries.verdicts_of, run_id)
if not verdicts.empty:
    st.subheader("Verdicts, failures first")
    st.dataframe(
        verdicts[["case_name", "name", "outcome", "grade", "observed", "limit_value", "margin", "reason", "rule"]],
        hide_index=True,
        key="verdicts",
    )
findings = data.frame(parity_queries.findings_of, run_id)
if not findings.empty:
    st.subheader("Findings, the gravest first")
    st.dataframe(findings, hide_index=True, key="findings")
measured = data.frame(run_queries.measurements_of, run_id)
if not measured.empty:
    timed = measured.dropna(subset=["samples"])
    st.plotly_chart(run_figures.samples(timed), key="samples", width="stretch")
    st.subheader("Measurements")
    st.dataframe(run_tables.measurements(measured), hide_index=True, key="measurements")
