"""The parts of the Speed page: each asks, draws and shows one thing, and says what to do where there is nothing."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from assay.dashboard import data, filters
from assay.dashboard.figures import speed as speed_figures
from assay.dashboard.tables import comparison as comparison_tables
from assay.schema.queries import history as history_queries
from assay.schema.queries import runs as run_queries
from assay.schema.queries import speed as speed_queries


def _nothing(what: str, command: str) -> None:
    st.info(
        f"No {what} is recorded yet, or none matches the filters. Record some: `{command}`",
        icon=":material/filter_alt_off:",
    )


def _chosen(found: pd.DataFrame, what: str, key: str) -> pd.DataFrame:
    """The rows of one version and comparability key, picked by a box that the URL knows.

    Nothing unlike is drawn together.
    """
    named = pd.Series([comparison_tables.alike(row) for _, row in found.iterrows()], index=found.index)
    options = list(dict.fromkeys(named))
    wanted = st.selectbox(what, options, key=key, bind="query-params")
    chosen: pd.DataFrame = found[named == (wanted if wanted in options else options[0])]
    return chosen


def distributions() -> None:
    """Medians with intervals, raw samples, and blocks in the order taken."""
    found = data.frame(speed_queries.timed_samples, filters.chosen())
    if found.empty:
        _nothing("timed case", "assay run quickstart")
        return
    rows = _chosen(found, "Timed", "timed")
    st.plotly_chart(speed_figures.intervals(rows), key="intervals", width="stretch")
    st.plotly_chart(speed_figures.distribution(rows), key="distribution", width="stretch")
    st.plotly_chart(speed_figures.in_order(rows), key="in_order", width="stretch")
    if (rows["launches"] < 3).any():
        st.caption(
            "Cases of fewer than 3 launches have no interval over launches: what a process does to its timings is not"
            " known."
        )
    st.dataframe(rows.drop(columns=["samples", "case_id", "group_id"]), hide_index=True, key="timed_rows")


def generations() -> None:
    """Latency against step, with and without a cache."""
    found = data.frame(speed_queries.timed_samples, filters.chosen())
    found = found[found["check_kind"] == "generation"] if not found.empty else found
    if found.empty:
        _nothing("generation", "assay run gpt2-tiny")
        return
    rows = _chosen(found, "Generation", "generated")
    st.plotly_chart(
        speed_figures.steps(data.frame(speed_queries.generation_steps, list(rows["case_id"]))),
        key="steps",
        width="stretch",
    )
    st.plotly_chart(speed_figures.intervals(rows), key="tokens", width="stretch")
    st.code("\n".join(rows["reproduce"]), language="bash")


def sweeps() -> None:
    """Throughput against batch."""
    found = data.frame(history_queries.trade_offs, filters.chosen())
    if found.empty or not found["batch"].notna().any():
        _nothing("benchmark", "assay run gpt2-tiny")
        return
    kinds = found["model"] + ", " + found["hardware_class"]
    wanted = st.selectbox("Model to sweep", list(dict.fromkeys(kinds)), key="swept", bind="query-params")
    rows = found[kinds == (wanted or kinds.iloc[0])]
    st.plotly_chart(speed_figures.sweep(rows), key="sweep", width="stretch")
    columns = [
        "variant",
        "backend",
        "mode",
        "workload",
        "batch",
        "latency_ms",
        "low",
        "high",
        "items_per_s",
        "n",
        "launches",
    ]
    st.dataframe(rows[columns], hide_index=True, key="swept_rows")


def operators() -> None:
    """Where the time goes, and why INT8 is not faster."""
    found = data.frame(speed_queries.profiled, filters.chosen())
    if found.empty:
        _nothing("profile", "assay run gpt2-tiny")
        return
    labels = found["name"] + " (" + found["model_version"] + ")"
    wanted = st.selectbox("Profile", list(labels), key="profile", bind="query-params")
    row = found[labels == (wanted or labels.iloc[0])].iloc[0]
    layers = data.frame(run_queries.of_case, "layer", row["case_id"])
    st.plotly_chart(speed_figures.operators(layers), key="operators", width="stretch")
    told = data.frame(run_queries.of_case, "finding", row["case_id"])
    if not told.empty:
        st.subheader("Why it is not faster")
        st.dataframe(told[["severity", "subject", "message"]], hide_index=True, key="why")
    st.caption(
        f"{row['hardware_class']}. Operators are timed in a run of their own: their sum is not the latency of a"
        " benchmark."
    )
    st.dataframe(layers.drop(columns=["case_id", "run_id"]), hide_index=True, key="layers")
    st.code(row["reproduce"], language="bash")
