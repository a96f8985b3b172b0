"""Frames as tables for people: which columns, in which words and units. Pure."""

from __future__ import annotations

from typing import Any

import pandas as pd

from dashboard import theme


def _verdict(row: Any) -> str:
    if row["broken"]:
        return f"{theme.ICONS['fail']} {int(row['broken'])} broken"
    if row["failed"]:
        return (
            f"{theme.ICONS['fail']} {int(row['failed'])} of {int(row['failed'] + row['passed'] + row['vacuous'])} fail"
        )
    if row["vacuous"]:
        return f"{theme.ICONS['vacuous']} {int(row['vacuous'])} vacuous"
    return f"{theme.ICONS['pass']} {int(row['passed'])} pass" if row["passed"] else "timed only"


def overview(found: pd.DataFrame) -> pd.DataFrame:
    """Model x variant x backend, newest first state in words."""
    return pd.DataFrame(
        {
            "model": found["model"], "version": found["model_version"], "variant": found["variant"], "backend": found["backend"],
            "verdicts": [_verdict(row) for _, row in found.iterrows()], "verdicts before": ["".join(theme.ICONS[o] for o in h) if isinstance(h, list) else "" for h in found["verdict_history"]],
            "margin": found["worst_margin"],
            "latency ms": found["latency_ms"], "latency history": found["history"],
            "size": [theme.size(b) for b in found["model_bytes"]], "what is wrong": found["reason"].where(found["failed"] + found["broken"] + found["vacuous"] > 0, ""),
            "hardware": found["hardware_class"], "last run": found["run_started_at"],
        }
    )  # fmt: skip


def headline(found: pd.DataFrame) -> dict[str, int]:
    """Counts for the tiles of the first page."""
    return {
        "Models": found["model"].nunique(), "Verdicts pass": int(found["passed"].sum()), "Verdicts fail": int(found["failed"].sum()),
        "Vacuous": int(found["vacuous"].sum()), "Broken cases": int(found["broken"].sum()),
    }  # fmt: skip


def runs(found: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "run": found["run_id"], "started (UTC)": found["started_at"], "suite": found["suite"], "versions": found["versions"],
            "state": found["state"], "cases": found["cases"], "not ok": found["not_ok"], "pass": found["passed"], "fail": found["failed"],
            "vacuous": found["vacuous"], "seconds": found["seconds"], "host": found["host"], "hardware": found["hardware_class"],
            "commit": found["git_commit"].str.slice(0, 12), "trigger": found["trigger"],
        }
    )  # fmt: skip


def receipts(found: pd.DataFrame) -> pd.DataFrame:
    """Receipts with their verdict, the worst margin first."""
    columns = [
        "model", "model_version", "variant", "backend", "workload", "output", "outcome", "grade", "margin", "reason", "elements", "max_abs", "p99_abs",
        "max_rel", "sqnr_db", "cosine", "violations", "worst_index", "worst_expected", "worst_actual", "reference",
    ]  # fmt: skip
    shown = found[[c for c in columns if c in found.columns]]
    ordered: pd.DataFrame = shown.sort_values("margin", na_position="first")
    return ordered


def newest(found: pd.DataFrame) -> pd.DataFrame:
    """The newest receipt of every case and output."""
    kept: pd.DataFrame = found.sort_values("run_started_at").drop_duplicates(["name", "output"], keep="last")
    return kept


def label(row: Any) -> str:
    return f"{row['model']} {row['model_version']} / {row['variant']} / {row['backend']} / {row['workload']}: {row['output']}"


def cases(found: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "case": found["name"], "version": found["model_version"], "status": found["status"], "error": found["error_message"],
            "placement": found["placement"], "precision": found["precision"], "size": [theme.size(b) for b in found["model_bytes"]],
            "seconds": found["duration_s"], "reproduce": found["reproduce"],
        }
    )  # fmt: skip


def measurements(found: pd.DataFrame) -> pd.DataFrame:
    shown: pd.DataFrame = found[["name", "metric", "value", "low", "high", "unit", "better", "n", "provenance"]]
    return shown


def comparison(lines: list[dict[str, Any]], *, changed_only: bool) -> pd.DataFrame:
    """Lines of a comparison, what changed first."""
    shown = pd.DataFrame(lines)
    if shown.empty:
        return shown
    wanted = [
        "case", "name", "outcome", "a", "b", "ratio", "ratio_low", "ratio_high", "a_low", "a_high", "b_low", "b_high", "unit",
        "better", "differs",
    ]  # fmt: skip
    shown = shown[wanted].dropna(axis="columns", how="all")
    quiet = shown["outcome"].isin(["same", "not distinguishable", "both pass"])
    return shown[~quiet] if changed_only else shown


def environment(differing: dict[str, list[Any]]) -> str:
    """What differs between two hosts, in one line of markdown."""
    return "; ".join(
        f"**{theme.markdown(name)}**: {theme.markdown(str(a))} → {theme.markdown(str(b))}"
        for name, (a, b) in differing.items()
    )


def worst_first(found: pd.DataFrame) -> list[str]:
    """Labels of receipts, the smallest margin first."""
    ordered = found.assign(label=[label(row) for _, row in found.iterrows()]).sort_values("margin", na_position="first")
    return list(ordered["label"])


def picked(found: pd.DataFrame, wanted: str) -> Any:
    """The receipt with this label."""
    return next(row for _, row in found.iterrows() if label(row) == wanted)
