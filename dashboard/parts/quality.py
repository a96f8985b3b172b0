"""The parts of the Quantization page.

Each asks, draws and shows one thing, and says what to do where there is nothing.
"""

from __future__ import annotations

import json

import pandas as pd
import streamlit as st

from assay.dashboard import data, filters
from assay.dashboard.figures import quality as quality_figures
from assay.dashboard.tables import comparison as comparison_tables
from assay.schema.documents import strict
from assay.schema.queries import quality as quality_queries
from assay.schema.queries import runs as run_queries


def _nothing(what: str, command: str) -> None:
    st.info(
        f"No {what} is recorded yet, or none matches the filters. Record some: `{command}`",
        icon=":material/filter_alt_off:",
    )


def _picked(found: pd.DataFrame, what: str, key: str) -> pd.Series:
    """One case, picked by a box that the URL knows."""
    labels = found["name"] + " (" + found["model_version"] + ", " + found["hardware_class"] + ")"
    wanted = st.selectbox(what, list(labels), key=key, bind="query-params")
    return found[labels == (wanted if wanted in set(labels) else labels.iloc[0])].iloc[0]


def qualities() -> None:
    """What each variant loses of the task's main metric."""
    found = data.frame(quality_queries.qualities, filters.chosen())
    if found.empty:
        _nothing("quality case", "assay run digits-int8")
        return
    named = pd.Series([comparison_tables.alike(row) for _, row in found.iterrows()], index=found.index)
    options = list(dict.fromkeys(named))
    wanted = st.selectbox("Task", options, key="task", bind="query-params")
    rows = found[named == (wanted if wanted in options else options[0])]
    st.plotly_chart(quality_figures.drops(rows), key="drops", width="stretch")
    columns = [
        "variant",
        "backend",
        "metric",
        "value",
        "drop",
        "low",
        "high",
        "n",
        "verdict",
        "grade",
        "agreement",
        "mcnemar_p",
        "bits_per_weight",
        "model_bytes",
    ]
    st.dataframe(rows[columns], hide_index=True, key="quality_rows")
    classes = data.frame(run_queries.of_case, "class_quality", rows["case_id"].iloc[-1])
    if not classes.empty:
        st.subheader(f"By class: {rows['variant'].iloc[-1]}")
        st.dataframe(classes.drop(columns=["case_id", "run_id"]), hide_index=True, key="classes")


def ledger() -> None:
    """Every tensor that quantization touches."""
    found = data.frame(quality_queries.ledgers, filters.chosen())
    if found.empty:
        _nothing("ledger", "assay run digits-int8")
        return
    row = _picked(found, "Ledger", "ledger")
    entries = data.frame(run_queries.of_case, "ledger", row["case_id"])
    st.plotly_chart(quality_figures.depth(entries), key="depth", width="stretch")
    told = data.frame(run_queries.of_case, "finding", row["case_id"])
    if not told.empty:
        st.subheader("What stands out")
        st.dataframe(told[["severity", "kind", "subject", "message"]], hide_index=True, key="stands_out")
    st.dataframe(
        entries[_first(entries)],
        hide_index=True,
        key="entries",
        column_config={
            "histogram": st.column_config.BarChartColumn(
                "codes", help="How often each code was executed, lowest to highest."
            ),
            **{
                name: st.column_config.NumberColumn(format="%.1f")
                for name in ("sqnr_db", "snr_db", "psnr_db", "accumulated_sqnr_db", "executed_sqnr_db")
            },
        },
    )
    st.caption(f"{row['hardware_class']}. Ranges from: {row['calibration'] or 'no calibration data'}.")
    st.download_button(
        "Per-node data for Model Explorer",
        _node_data(entries),
        file_name="ledger.json",
        mime="application/json",
        key="node_data",
        help=(
            "Open the ONNX file in Model Explorer, then load this as custom node data: the worst tensor of each node,"
            " in dB."
        ),
    )
    st.caption("The same in Netron: a copy of the file whose nodes carry these figures.")
    st.code(f"assay graph {row['name']} --run {row['run_id'][:18]} --out annotated.onnx", language="bash")
    st.caption("This ledger again:")
    st.code(row["reproduce"], language="bash")


def _first(entries: pd.DataFrame) -> list[str]:
    """Columns in the order that they are read: what it is, how bad, why; the rest after that."""
    wanted = [
        "name",
        "node",
        "op_type",
        "kind",
        "scheme",
        "sqnr_db",
        "accumulated_sqnr_db",
        "executed_sqnr_db",
        "clipped",
        "saturated",
        "used_levels",
        "levels",
        "histogram",
        "bits_per_weight",
    ]
    return [*wanted, *(name for name in entries.columns if name not in (*wanted, "case_id", "run_id", "position"))]


def _node_data(entries: pd.DataFrame) -> str:
    """Model Explorer's node data: the worst signal-to-noise of each node's tensors."""
    known = entries[entries["sqnr_db"].notna() & (entries["kind"] != "bias")]
    worst = known.groupby("node")["sqnr_db"].min().clip(upper=200)
    gradient = [{"stop": 0, "bgColor": "#d1443c"}, {"stop": 1, "bgColor": "#2a9d6f"}]
    return strict(
        {
            "main_graph": {
                "results": {node: {"value": float(value)} for node, value in worst.items()},
                "gradient": gradient,
            }
        }
    )


def calibrations() -> None:
    """Ledgers of one model side by side, and how ranges came about."""
    found = data.frame(quality_queries.ledgers, filters.chosen())
    if found.empty:
        _nothing("ledger", "assay run digits-int8")
        return
    named = found["model"] + " " + found["model_version"] + " on " + found["workload"] + ", " + found["hardware_class"]
    wanted = st.selectbox("Model to calibrate", list(dict.fromkeys(named)), key="calibrated", bind="query-params")
    rows = found[named == (wanted if wanted in set(named) else named.iloc[0])]
    side = st.segmented_control("Figure", ["alone", "executed"], default="alone", key="side", bind="query-params")
    seen = data.frame(quality_queries.activations, list(rows["case_id"]))
    if not seen.empty:
        st.plotly_chart(
            quality_figures.methods(seen, "executed_sqnr_db" if side == "executed" else "sqnr_db"),
            key="methods",
            width="stretch",
        )
    st.dataframe(
        rows[["variant", "calibration", "calibration_sha256", "entries"]], hide_index=True, key="calibration_sets"
    )
    row = _picked(rows, "Ranges of", "ranges")
    ranges = data.frame(run_queries.of_case, "calibration_range", row["case_id"])
    if ranges.empty:
        st.caption("This variant learnt no ranges from data.")
    else:
        st.dataframe(ranges.drop(columns=["case_id", "run_id"]), hide_index=True, key="range_rows")


def sensitivity() -> None:
    """What each node costs."""
    found = data.frame(quality_queries.sensitivities, filters.chosen())
    if found.empty:
        _nothing("sensitivity", "assay search digits-int8 --model digits --variant minmax")
        return
    row = _picked(found, "Sensitivity", "sensitive")
    nodes = data.frame(run_queries.of_case, "sensitivity", row["case_id"])
    st.plotly_chart(quality_figures.sensitivity(nodes), key="sensitivity", width="stretch")
    st.code(row["reproduce"], language="bash")


def searches() -> None:
    """What was tried, what was chosen, and why."""
    found = data.frame(quality_queries.searches, filters.chosen())
    if found.empty:
        _nothing("search", "assay search digits-int8 --model digits --variant minmax")
        return
    labels = (
        found["recorded_at"].dt.strftime("%Y-%m-%d %H:%M:%S")
        + " "
        + found["model"]
        + " "
        + found["model_version"]
        + ", "
        + found["variant"]
    )
    wanted = st.selectbox("Search", list(labels), key="search", bind="query-params")
    row = found[labels == (wanted if wanted in set(labels) else labels.iloc[0])].iloc[0]
    trials = data.frame(quality_queries.of_search, "search_trial", row["search_id"])
    st.plotly_chart(quality_figures.search(trials), key="front", width="stretch")
    st.markdown(f"**{row['reason']}**; {row['trials']} trials in {row['spent_s']:.0f} s")
    st.code("nodes_to_exclude = " + json.dumps(list(row["excluded"])), language="toml")
    nodes = data.frame(quality_queries.of_search, "search_node", row["search_id"])
    st.dataframe(nodes.drop(columns=["search_id", "run_id"]), hide_index=True, key="search_nodes")
    st.dataframe(trials.drop(columns=["search_id"]), hide_index=True, key="search_trials")
