"""What differs between two runs, as a table."""

from __future__ import annotations

from typing import Any

import pandas as pd

from assay.dashboard import theme


def comparison(lines: list[dict[str, Any]], *, changed_only: bool) -> pd.DataFrame:
    """Lines of a comparison, what changed first."""
    shown = pd.DataFrame(lines)
    if shown.empty:
        return shown
    wanted = [
        "case",
        "name",
        "outcome",
        "a",
        "b",
        "ratio",
        "ratio_low",
        "ratio_high",
        "a_low",
        "a_high",
        "b_low",
        "b_high",
        "unit",
        "better",
        "differs",
    ]
    shown = shown[wanted].dropna(axis="columns", how="all")
    quiet = shown["outcome"].isin(["same", "not distinguishable", "both pass"])
    return shown[~quiet] if changed_only else shown


def environment(differing: dict[str, list[Any]]) -> str:
    """What differs between two hosts, in one line of markdown."""
    return "; ".join(
        f"**{theme.markdown(name)}**: {theme.markdown(str(a))} → {theme.markdown(str(b))}"
        for name, (a, b) in differing.items()
    )


_USUAL = ("none", "0", "other", "libc", "kept")
"""What a process has where nobody set anything: not worth a word."""


def alike(row: Any) -> str:
    """The version of a case and its comparability key in words: rows of one label may be drawn together."""
    parts = dict(part.split("=", 1) for part in str(row["comparability"]).split("; "))
    workload, _, content = parts["workload"].partition(":")
    known = ("model", "workload", "mode", "hardware", "device", "threads")
    more = [f"{name} {value}" for name, value in parts.items() if name not in known and value not in _USUAL]
    rest = ", ".join([parts["mode"], parts["hardware"], parts["device"], f"{parts['threads']} threads", *more])
    return f"{row['model']} {row['model_version']} on {workload}{f' ({content[:6]})' if content else ''}: {rest}"


def override(row: Any) -> str:
    """Who compared two unlike runs on purpose, and why; nothing in it is markup."""
    return theme.markdown(
        f"Compared on purpose although unlike, {row['recorded_at']:%Y-%m-%d} by {row['owner']}: {row['reason']}"
        f" ({row['differs']})"
    )
