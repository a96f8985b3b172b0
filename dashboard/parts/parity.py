"""The parts of the Parity page: each asks, draws and shows one thing, and says what to do where there is nothing."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from assay.dashboard import data, filters, theme
from assay.dashboard.figures import explanations as explanation_figures
from assay.dashboard.figures import parity as parity_figures
from assay.dashboard.figures import streams as stream_figures
from assay.dashboard.tables import parity as parity_tables
from assay.schema.queries import parity as parity_queries
from assay.schema.queries import runs as run_queries


def receipts() -> None:
    """Pass rates, margins, and one receipt from near."""
    history = data.frame(parity_queries.parity_history, filters.chosen())
    if history.empty:
        filters.nothing_matches("comparisons")
    st.plotly_chart(parity_figures.pass_rates(history), key="pass_rates", width="stretch")
    newest = parity_tables.newest(history)
    st.plotly_chart(parity_figures.margins(newest), key="margins", width="stretch")
    st.subheader("One receipt")
    labels = parity_tables.worst_first(newest)
    wanted = st.selectbox("Newest receipt of each output, the worst first", labels, key="receipt", bind="query-params")
    row = parity_tables.picked(newest, wanted or labels[0])
    left, right = st.columns([2, 1])
    left.plotly_chart(
        parity_figures.error_histogram(row["histogram"], wanted or labels[0]), key="histogram", width="stretch"
    )
    right.metric(
        f"{theme.ICONS.get(row['outcome'], '?')} {row['outcome']}",
        f"max |error| {theme.number(row['max_abs'])}",
        border=True,
    )
    right.markdown(f"**Why:** {theme.markdown(str(row['reason']))}")
    expected, actual = parity_tables.worst_pair(row) or map(theme.element, (row["worst_expected"], row["worst_actual"]))
    right.markdown(
        f"**Worst element** at {theme.markdown(str(row['worst_index']))}: {theme.markdown(expected)} expected,"
        f" {theme.markdown(actual)} came"
    )
    if isinstance(row.get("detail"), str):
        right.markdown(f"**Accounted for:** {theme.markdown(row['detail'])}")
    right.code(row["reproduce"], language="bash")
    st.subheader("Newest receipts")
    st.dataframe(parity_tables.receipts(newest), hide_index=True, key="receipts")
    _findings()


def _findings() -> None:
    found = data.frame(parity_queries.findings, filters.chosen())
    if not found.empty:
        st.subheader("Findings, the gravest first")
        st.dataframe(found, hide_index=True, key="findings")


def steps() -> None:
    """One stream: error against step with its modes overlaid, invariants, liveness, latency."""
    found = data.frame(parity_queries.streams, filters.chosen())
    if found.empty:
        st.info(
            "No stream has been compared yet, or none matches the filters. Record some: `assay run streaming`",
            icon=":material/filter_alt_off:",
        )
        return
    labels = list(dict.fromkeys(parity_tables.stream(row) for _, row in found.iterrows()))
    wanted = st.selectbox("Stream", labels, key="stream", bind="query-params") or labels[0]
    cases = found[[parity_tables.stream(row) == wanted for _, row in found.iterrows()]]
    rows = data.frame(parity_queries.steps_of, list(cases["case_id"]))
    outputs = parity_tables.worst_outputs(rows)
    output = st.selectbox("Output", outputs, key="output", bind="query-params") or outputs[0]
    drifts = _of_cases(cases, "drift")
    st.plotly_chart(stream_figures.error_against_step(rows, drifts, output), key="steps_error", width="stretch")
    watched = _of_cases(cases, "invariant")
    if not watched.empty:
        st.plotly_chart(
            stream_figures.invariants_strip(watched, int(cases["steps"].max())), key="invariants", width="stretch"
        )
    moved = _of_cases(cases, "liveness")
    if not moved.empty:
        st.plotly_chart(stream_figures.liveness(moved), key="liveness", width="stretch")
    st.plotly_chart(stream_figures.latency_against_step(rows), key="steps_latency", width="stretch")
    st.caption(f"{cases.iloc[0]['hardware_class']}; reproduce:")
    st.code("\n".join(cases["reproduce"]), language="bash")
    if not drifts.empty:
        st.subheader("Drift")
        st.dataframe(parity_tables.drifts(drifts), hide_index=True, key="drifts")


def _of_cases(cases: pd.DataFrame, table: str) -> pd.DataFrame:
    """Rows of one table for every case, with the mode of the case."""
    parts = [
        data.frame(run_queries.of_case, table, row["case_id"]).assign(mode=row["mode"]) for _, row in cases.iterrows()
    ]
    return pd.concat([part for part in parts if len(part)]) if any(len(part) for part in parts) else pd.DataFrame()


def explanations() -> None:
    """First divergence of one case: errors by node, the suspect in words, the chain."""
    found = data.frame(parity_queries.explained, filters.chosen())
    if found.empty:
        st.info(
            "No failure has been explained yet, or none matches the filters. Explain one: `assay explain CASE`",
            icon=":material/troubleshoot:",
        )
        return
    labels = [
        f"{row['name']} ({row['model_version']}, {row['run_started_at']:%Y-%m-%d %H:%M})" for _, row in found.iterrows()
    ]
    wanted = st.selectbox("Explained case, newest first", labels, key="explained", bind="query-params") or labels[0]
    row = found.iloc[labels.index(wanted)]
    entries = data.frame(parity_queries.explanation, "divergence", row["explanation_id"])
    if entries.empty:
        st.info("There was no graph to walk; the chain below is what is known.")
    else:
        _suspect(entries)
        st.plotly_chart(explanation_figures.divergence(entries), key="divergence", width="stretch")
    edges = data.frame(parity_queries.explanation, "blame", row["explanation_id"])
    if not edges.empty:
        st.plotly_chart(explanation_figures.blame(edges), key="blame", width="stretch")
        for problem in dict.fromkeys(edges["problem"].dropna()):
            st.caption(theme.markdown(problem))
    if not entries.empty:
        st.subheader("Nodes, the largest errors of their own first")
        st.dataframe(parity_tables.nodes(entries), hide_index=True, key="nodes")


def _suspect(entries: pd.DataFrame) -> None:
    first = entries[entries["suspect"]]
    if first.empty:
        st.success(
            "No node is wrong by itself: every one computes what the reference does, up to rounding.",
            icon=":material/check:",
        )
        return
    row = first.iloc[0]
    layer = f" in layer {row['layer']}" if row["layer"] else ""
    words = f"First divergence: {row['op_type']} {row['node']}{layer}. In the reference: {row['reference_node']}."
    st.error(f"{theme.markdown(words)} {theme.markdown(str(row['hint'] or ''))}", icon=":material/troubleshoot:")


def noise() -> None:
    """What moves an output without a fault, and the tolerance that follows."""
    found = data.frame(parity_queries.advice, filters.chosen())
    if found.empty:
        st.info(
            "No noise has been measured yet, or none matches the filters. Measure some: a case with `check ="
            ' "consistency"`, as in `assay run quickstart`',
            icon=":material/tune:",
        )
        return
    proposed = found[found["source"] == "advice"]
    if not proposed.empty:
        st.subheader("Proposed tolerances")
        st.dataframe(parity_tables.advice(proposed), hide_index=True, key="advice")
    st.subheader("Noise by source")
    st.dataframe(parity_tables.noise(found[found["source"] != "advice"]), hide_index=True, key="noise")


def waivers() -> None:
    """Known failures, who answers for them, and whether their premise still holds."""
    found = data.frame(parity_queries.waivers)
    if found.empty:
        st.info(
            "No failure is waived. Waive one, for as long as its premise holds: `assay waive CASE --output ..."
            " --premise ...`",
            icon=":material/gavel:",
        )
        return
    st.dataframe(parity_tables.waivers(found), hide_index=True, key="waivers")
