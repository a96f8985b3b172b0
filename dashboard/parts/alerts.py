"""The parts of the Alerts and Health pages.

What an alert rests on, what people decide, and how well its series can be trusted.
"""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Any

import pandas as pd
import streamlit as st

from assay.dashboard import data, filters, people, theme
from assay.dashboard.figures import alerts as alert_figures
from assay.dashboard.tables import alerts as alert_tables
from assay.schema.queries import alerts as alert_queries
from assay.schema.queries import evidence as evidence_queries
from assay.schema.queries import runs as run_queries
from assay.schema.queries.schedule import state_of
from assay.schema.rows.alerts import ACTIVE
from assay.schema.triage import ACTIONS

_STEPS = {
    "acknowledge": ("Acknowledge", "a"), "assign": ("Assign", "s"), "mute": ("Mute", "m"), "expect": ("Expected", "e"), "invalid": ("Invalid", "i"),
    "fix": ("Fixed", "f"), "reopen": ("Reopen", "o"),
}  # fmt: skip
"""Step -> its word and its key."""


def banner() -> None:
    """On the overview: how many alerts wait, with the way to them."""
    found = data.frame(alert_queries.alerts, filters.chosen())
    waiting = alert_tables.waiting(found, "Waiting", ACTIVE) if len(found) else found
    if len(waiting):
        worst = waiting.iloc[0]
        st.warning(
            f"{len(waiting)} alerts wait. The gravest: {theme.markdown(str(worst['title']))}",
            icon=":material/notifications_active:",
        )
        st.page_link(
            "views/alerts.py",
            label="Open the alerts",
            icon=":material/notifications:",
            query_params={"alert": worst["alert_id"]},
        )


def evidence(row: Any) -> None:
    """What moved and on which nights, with the evidence.

    What else moved, what differs between the runs, layers, first divergence, re-runs, history.
    """
    st.subheader(theme.markdown(str(row["title"])))
    mark = alert_tables.MARKS.get(str(row["severity"]), "")
    assigned = f", assigned to {theme.markdown(str(row['assignee']))}" if row["assignee"] else ""
    st.markdown(
        f"{mark} **{row['severity']}**, {row['state']}{assigned}. {theme.markdown(str(row['reason']))}"
        f" ({theme.markdown(str(row['decided_by']))})"
    )
    changes = data.frame(alert_queries.changes_of, row["alert_id"])
    pair = data.ask(evidence_queries.pair_of, row["alert_id"])
    if pair is not None:
        for name, (old, new) in data.differs(*pair).items():
            st.caption(theme.markdown(f"{name} differs: {old} -> {new}"))
        st.page_link(
            "views/compare.py",
            label="Compare the runs on both sides",
            query_params={"a": pair[0], "b": pair[1]},
            icon=":material/compare_arrows:",
        )
    if not changes.empty:
        measured = changes[~changes["kind"].isin(["verdict", "status", "pass_rate"])]
        if not measured.empty:
            st.plotly_chart(alert_figures.sides(measured), key="sides", width="stretch")
            first = measured.iloc[0]
            st.page_link(
                "views/trends.py",
                label=f"The whole history of {first['metric']}",
                query_params={"metric": first["metric"], "model": first["model"]},
                icon=":material/show_chart:",
            )
        st.dataframe(alert_tables.changes(changes), hide_index=True, key="moved")
    for question, title, empty in (
        (evidence_queries.moved_beside, "What else moved within 36 hours", "Nothing else moved within 36 hours."),
        (evidence_queries.first_divergence, "First divergence", ""),
        (evidence_queries.ledger_difference, "Tensors whose quantization got worse", ""),
        (evidence_queries.layer_difference, "Operators that got slower", ""),
        (
            alert_queries.confirmations_of,
            "Re-runs, old and new in turns",
            "Nothing was run again: `assay confirm " + row["alert_id"] + "`",
        ),
    ):
        found = data.frame(question, row["alert_id"])
        if not found.empty:
            st.markdown(f"**{title}**")
            st.dataframe(
                found.drop(columns=["confirmation_id", "alert_id"], errors="ignore"),
                hide_index=True,
                key=question.__name__,
            )
        elif empty:
            st.caption(empty)
    st.markdown("**History**")
    st.dataframe(
        alert_tables.history(data.frame(alert_queries.alert_events, row["alert_id"])), hide_index=True, key="history"
    )


def pick(shown: pd.DataFrame) -> Any:
    """The alert that the URL names (?alert=ID, as digests link it), or the one that is picked; the URL follows."""
    labels = {row["alert_id"]: alert_tables.label(row) for _, row in shown.iterrows()}
    known, asked = [*labels], st.query_params.get("alert", "")
    picked = st.selectbox(
        "Alert",
        known,
        index=known.index(asked) if asked in labels else 0,
        format_func=lambda alert: labels.get(alert, alert),
        key="picked_alert",
    )
    picked = picked if picked in labels else known[0]
    if picked != asked:
        st.query_params["alert"] = picked
    return shown[shown["alert_id"] == picked].iloc[0]


def decide(row: Any) -> None:
    """The steps that a person can take, by mouse or by key; each needs a reason."""
    who = people.name()
    if who is None:
        people.sign_in()
        return
    st.markdown(f"**Decide** as {theme.markdown(who)}")
    columns = st.columns(len(_STEPS))
    for column, (step, (word, key)) in zip(columns, _STEPS.items(), strict=True):
        column.button(word, key=f"step_{step}", shortcut=key, on_click=_choose, args=(step,), width="stretch")
    step = st.session_state.get("_step", "acknowledge")
    with st.form("decide", clear_on_submit=True, border=True):
        st.markdown(f"**{_STEPS[step][0]}**")
        more: dict[str, Any] = {}
        if step == "assign":
            more["assignee"] = st.text_input("To whom", key="assignee")
        if step == "mute":
            more["until"] = st.date_input("Until", value=None, key="until")
            more["until_version"] = st.text_input("Or until this version has run", key="until_version") or None
        if step == "fix":
            more["version"] = st.text_input("Fixed by this version or commit", key="version") or None
        reason = st.text_input("Reason (required; Enter records it)", key="reason")
        if st.form_submit_button("Record", type="primary"):
            _record(row["alert_id"], step, who, reason, more)
    if problem := st.session_state.pop("_problem", None):
        st.error(problem)


def _choose(step: str) -> None:
    st.session_state["_step"] = step


def _record(alert: str, step: str, who: str, reason: str, more: dict[str, Any]) -> None:
    until = more.get("until")
    if until is not None:
        more["until"] = datetime.combine(until, time.min, UTC).replace(tzinfo=None)
    problem = data.act(alert, step, who, reason, **more)
    if problem is None:
        st.toast(f"Recorded: {ACTIONS[step]}", icon=":material/check:")
        st.rerun()
    st.session_state["_problem"] = problem


def trust() -> None:
    """Noise, alerts and validity of every series, and what the rules cost."""
    found = data.frame(alert_queries.health, filters.chosen())
    if found.empty:
        filters.nothing_matches("series")
    st.caption(
        "Noise of a night: how much neighbouring nights of one artifact in one environment differ (robust standard"
        " deviation). A step of less than twice that is not told by the nightly job."
    )
    percent = st.column_config.NumberColumn(format="percent")
    st.dataframe(
        alert_tables.health(found),
        hide_index=True,
        key="health",
        column_config={"noise of a night": percent, "smallest sure step": percent},
    )
    st.subheader("What the rules cost")
    replayed = data.frame(alert_queries.calibrations)
    if replayed.empty:
        st.info(
            "No rule has been replayed on these books yet. Replay the one that reports: `assay calibrate`",
            icon=":material/tune:",
        )
    else:
        st.dataframe(alert_tables.calibrations(replayed), hide_index=True, key="calibrations")


def put_aside() -> None:
    """Bundles that were delivered and not taken: what the books lack."""
    found = data.frame(run_queries.rejected)
    if found.empty:
        st.info("Nothing is put aside: every bundle that arrived is in the books.", icon=":material/inventory_2:")
        return
    st.warning(
        f"{len(found)} bundles were put aside: the books lack what is in them. Try them again with `assay db requeue`;"
        " what waits, and for how long, is in `assay db status`.",
        icon=":material/inventory_2:",
    )
    st.dataframe(found, hide_index=True, key="put_aside")


def schedule() -> None:
    """What is expected on which host, and what became of it."""
    expected = data.ask(alert_queries.expectations)
    if not expected:
        st.info(
            "Nothing is expected, so nothing can be missed. Say what has to run: `assay schedule expect SUITE --host"
            " HOST --reason ...`",
            icon=":material/event:",
        )
        return
    moment = datetime.now(UTC).replace(tzinfo=None)
    watched = [state_of(row, moment) for row in expected]
    marks = {"on time": theme.ICONS["pass"], "retired": "-"}
    st.dataframe(
        pd.DataFrame(
            [
                {
                    "": marks.get(one.state, theme.ICONS["fail"]),
                    "suite": one.suite,
                    "host": one.host or "any",
                    "model": one.model or "any",
                    "state": one.state,
                    "why": one.why,
                }
                for one in watched
            ]
        ),
        hide_index=True,
        key="schedule",
    )


def told() -> None:
    """The last attempts to tell people."""
    found = data.frame(alert_queries.notifications)
    if found.empty:
        st.info(
            "Nobody has been told anything yet. Whom to tell is in the night's file: see `assay nightly --help`",
            icon=":material/mail:",
        )
        return
    st.dataframe(found[["recorded_at", "channel", "outcome", "attempts", "error", "text"]], hide_index=True, key="told")
