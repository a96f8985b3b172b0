"""Alerts, changes and the health of series as tables for people. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pandas as pd

MARKS = {"critical": "▲▲", "high": "▲", "medium": "△", "low": "·"}
"""A severity is never told by its colour alone."""


def waiting(found: pd.DataFrame, which: str, states: Collection[str]) -> pd.DataFrame:
    """`Waiting`: those in one of these states, that somebody has to look at; `Over`: the others; `All`."""
    active = found["state"].isin(list(states))
    shown: pd.DataFrame = found[active] if which == "Waiting" else found[~active] if which == "Over" else found
    return shown


def alerts(found: pd.DataFrame) -> pd.DataFrame:
    """One line an alert, in the order that they came."""
    return pd.DataFrame(
        {
            "": [MARKS.get(str(severity), "") for severity in found["severity"]],
            "severity": found["severity"],
            "state": found["state"],
            "what": found["title"],
            "series": found["series"].fillna(0).astype(int),
            "began (UTC)": found["began_at"].fillna(found["opened_at"]),
            "cause": found["cause_kind"],
            "assigned": found["assignee"].fillna(""),
            "reopened": found["reopened"],
            "decided by": found["decided_by"],
            "reason": found["reason"],
            "alert": found["alert_id"],
        }
    )


def label(row: Any) -> str:
    """An alert in a list to pick from."""
    return f"{MARKS.get(str(row['severity']), '')} {row['state']}: {row['title']}"[:160]


def changes(found: pd.DataFrame) -> pd.DataFrame:
    """What moved, with what was decided about it."""
    state = found["state"].where(found["state"].notna(), "") if "state" in found else ""
    return pd.DataFrame(
        {
            "began (UTC)": found["started_at"],
            "": ["↑ worse" if direction == "regression" else "↓ better" for direction in found["direction"]],
            "case": found["name"],
            "metric": found["metric"],
            "what": found["message"],
            "version before": found["version_before"],
            "version": found["version"],
            "kind": found["kind"],
            "q": [f"{q:.1g}" for q in found["q_value"]],
            "state": state,
            "reason": found.get("state_reason", ""),
            "decided by": found.get("decided_by", ""),
            "alert": found["alert_id"],
            "run": found["run_id"],
        }
    )


def history(found: pd.DataFrame) -> pd.DataFrame:
    """The life of an alert, oldest step first."""
    details = [
        "; ".join(
            text
            for text in (
                f"to {row['assignee']}" if row["assignee"] else "",
                f"until {row['until']:%Y-%m-%d}" if pd.notna(row["until"]) else "",
                f"until version {row['until_version']}" if row["until_version"] else "",
                f"in {row['version']}" if row["version"] else "",
                f"{len(row['run_ids'])} runs" if isinstance(row["run_ids"], list) else "",
            )
            if text
        )
        for _, row in found.iterrows()
    ]
    return pd.DataFrame(
        {
            "when (UTC)": found["recorded_at"],
            "step": found["action"],
            "who": found["actor"],
            "reason": found["reason"],
            "terms": details,
        }
    )


def health(found: pd.DataFrame) -> pd.DataFrame:
    """Series with their noise as a share, in words that say what it is good for."""
    return pd.DataFrame(
        {
            "case": found["name"],
            "metric": found["metric"],
            "nights": found["nights"],
            "noise of a night": found["noise"],
            "smallest sure step": found["noise"] * 2,
            "changes": found["changes"],
            "alerts": found["alerts"],
            "invalid samples": found["invalid"],
            "environments": found["environments"],
            "newest (UTC)": found["newest"],
            "hardware": found["hardware_class"],
        }
    )


def calibrations(found: pd.DataFrame) -> pd.DataFrame:
    """What rules cost when they were replayed."""
    return pd.DataFrame(
        {
            "when (UTC)": found["recorded_at"],
            "detector": found["detector"],
            "rule": found["rule"],
            "false alarms per series in 100 nights": found["per_100"],
            "low": found["low"],
            "high": found["high"],
            "of one artifact": [
                f"{a} in {n} pairs" for a, n in zip(found["same_alarms"], found["same_pairs"], strict=True)
            ],
            **{
                f"{size:.0%} in 5 nights": [
                    dict(zip(row["sizes"], row["within_5"], strict=True)).get(size) for _, row in found.iterrows()
                ]
                for size in (0.05, 0.1, 0.2)
            },
            "noise": found["noise"],
        }
    )
