"""Receipts, streams, nodes, noise and waivers as tables."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd


def worst_pair(row: Any) -> tuple[str, str] | None:
    """The worst pair in all its digits, where doubles do not hold it (integers, text); else None."""
    text = row.get("worst_pair")
    return tuple(json.loads(text)) if isinstance(text, str) else None


def receipts(found: pd.DataFrame) -> pd.DataFrame:
    """Receipts with their verdict, the worst margin first."""
    columns = [
        "model",
        "model_version",
        "variant",
        "backend",
        "workload",
        "mode",
        "output",
        "outcome",
        "grade",
        "margin",
        "reason",
        "elements",
        "max_abs",
        "p99_abs",
        "max_rel",
        "sqnr_db",
        "cosine",
        "violations",
        "worst_index",
        "worst_expected",
        "worst_actual",
        "detail",
        "reference",
    ]
    pairs = [worst_pair(row) for _, row in found.iterrows()]
    exact = {"worst_expected": 0, "worst_actual": 1}
    for name, side in exact.items():
        if name in found.columns and any(pairs):
            cells = [str(value) if pair is None else pair[side] for pair, value in zip(pairs, found[name], strict=True)]
            found = found.assign(**{name: cells})
    shown = found[[c for c in columns if c in found.columns]]
    ordered: pd.DataFrame = shown.sort_values("margin", na_position="first")
    return ordered


def newest(found: pd.DataFrame) -> pd.DataFrame:
    """The newest receipt of every case and output."""
    kept: pd.DataFrame = found.sort_values("run_started_at").drop_duplicates(["name", "output"], keep="last")
    return kept


def label(row: Any) -> str:
    mode = "" if row["mode"] == "functional" else f" ({row['mode']})"
    return (
        f"{row['model']} {row['model_version']} / {row['variant']} / {row['backend']} / {row['workload']}:"
        f" {row['output']}{mode}"
    )


def worst_first(found: pd.DataFrame) -> list[str]:
    """Labels of receipts, the smallest margin first."""
    ordered = found.assign(label=[label(row) for _, row in found.iterrows()]).sort_values("margin", na_position="first")
    return list(ordered["label"])


def picked(found: pd.DataFrame, wanted: str) -> Any:
    """The receipt with this label."""
    return next(row for _, row in found.iterrows() if label(row) == wanted)


def stream(row: Any) -> str:
    """A stream whatever its mode: modes are overlaid."""
    return f"{row['model']} {row['model_version']} / {row['variant']} / {row['backend']} / {row['workload']}"


def worst_outputs(steps: pd.DataFrame) -> list[str]:
    """Outputs of a stream, those that broke their tolerance most often first."""
    ranked = steps.groupby("output")[["violations", "max_abs"]].agg({"violations": "sum", "max_abs": "max"})
    return [str(name) for name in ranked.sort_values(["violations", "max_abs"], ascending=False).index]


def drifts(found: pd.DataFrame) -> pd.DataFrame:
    columns = ["mode", "quantity", "output", "n", "slope", "low", "high", "p_value", "trend", "peak_step", "peak"]
    shown: pd.DataFrame = found[columns]
    return shown


def nodes(found: pd.DataFrame) -> pd.DataFrame:
    """Nodes of an explanation, the largest local error first."""
    columns = [
        "position",
        "node",
        "op_type",
        "layer",
        "reference_node",
        "local_rel_l2",
        "accumulated_rel_l2",
        "expected_rel_l2",
        "local_max_abs",
        "shape",
        "suspect",
        "hint",
    ]
    shown: pd.DataFrame = found.sort_values("local_rel_l2", ascending=False, na_position="last")[columns]
    return shown


def advice(found: pd.DataFrame) -> pd.DataFrame:
    shown: pd.DataFrame = found[["name", "model_version", "output", "atol", "rtol", "n", "problem"]].rename(
        columns={"problem": "basis"}
    )
    return shown


def noise(found: pd.DataFrame) -> pd.DataFrame:
    shown: pd.DataFrame = found[
        ["name", "model_version", "source", "output", "n", "max_abs", "p999_abs", "rel_l2", "problem"]
    ]
    return shown


def waivers(found: pd.DataFrame) -> pd.DataFrame:
    """Waivers with the state that their events and their premise leave them in."""
    past = found["expires_at"] < pd.Timestamp.now("UTC").tz_localize(None)
    broken = found["premise_broken"].fillna(0) > 0
    state = (
        pd.Series("in force", index=found.index)
        .mask(broken, "premise broken")
        .mask(past, "expired")
        .mask(found["action"] == "revoke", "revoked")
    )
    return pd.DataFrame(
        {
            "state": state,
            "case": found["case_pattern"],
            "output": found["output"],
            "premise": found["premise"],
            "seen": found["premise_observed"],
            "max abs": found["max_abs"],
            "owner": found["owner"],
            "reason": found["reason"],
            "expires": found["expires_at"],
            "waived": found["waived"],
            "void": found["void"],
            "waiver": found["waiver_id"],
        }
    )
