"""Runs, their cases and figures, and the newest state of every model, as tables."""

from __future__ import annotations

from typing import Any

import pandas as pd

from assay.dashboard import theme


def _verdict(row: Any) -> str:
    if row["broken"]:
        return f"{theme.ICONS['fail']} {int(row['broken'])} broken"
    if row["failed"]:
        return (
            f"{theme.ICONS['fail']} {int(row['failed'])} of {int(row['failed'] + row['passed'] + row['vacuous'])} fail"
        )
    if row["vacuous"]:
        return f"{theme.ICONS['vacuous']} {int(row['vacuous'])} vacuous"
    waived = f", {theme.ICONS['waived']} {int(row['waived'])} waived" if row["waived"] else ""
    return f"{theme.ICONS['pass']} {int(row['passed'])} pass{waived}" if row["passed"] or waived else "timed only"


def overview(found: pd.DataFrame) -> pd.DataFrame:
    """Model x variant x backend, newest first state in words."""
    return pd.DataFrame(
        {
            "model": found["model"],
            "version": found["model_version"],
            "variant": found["variant"],
            "backend": found["backend"],
            "verdicts": [_verdict(row) for _, row in found.iterrows()],
            "verdicts before": [
                "".join(theme.ICONS[o] for o in h) if isinstance(h, list) else "" for h in found["verdict_history"]
            ],
            "margin": found["worst_margin"],
            "latency ms": found["latency_ms"],
            "timed on": found["timed_on"],
            "latency history": found["history"],
            "size": [theme.size(b) for b in found["model_bytes"]],
            "what is wrong": found["reason"].where(found["failed"] + found["broken"] + found["vacuous"] > 0, ""),
            "hardware": found["hardware_class"],
            "last run": found["run_started_at"],
        }
    )


def headline(found: pd.DataFrame) -> dict[str, int]:
    """Counts for the tiles of the first page."""
    return {
        "Models": found["model"].nunique(),
        "Verdicts pass": int(found["passed"].sum()),
        "Verdicts fail": int(found["failed"].sum()),
        "Vacuous": int(found["vacuous"].sum()),
        "Broken cases": int(found["broken"].sum()),
    }


def runs(found: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "run": found["run_id"],
            "started (UTC)": found["started_at"],
            "suite": found["suite"],
            "versions": found["versions"],
            "state": found["state"],
            "cases": found["cases"],
            "not ok": found["not_ok"],
            "pass": found["passed"],
            "fail": found["failed"],
            "vacuous": found["vacuous"],
            "seconds": found["seconds"],
            "host": found["host"],
            "hardware": found["hardware_class"],
            "commit": found["git_commit"].str.slice(0, 12),
            "trigger": found["trigger"],
        }
    )


def cases(found: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "case": found["name"],
            "version": found["model_version"],
            "status": found["came_to"],
            "why": found["why"],
            "placement": found["placement"],
            "precision": found["precision"],
            "size": [theme.size(b) for b in found["model_bytes"]],
            "seconds": found["duration_s"],
            "reproduce": found["reproduce"],
        }
    )


def measurements(found: pd.DataFrame) -> pd.DataFrame:
    shown: pd.DataFrame = found[["name", "metric", "value", "low", "high", "unit", "better", "n", "provenance"]]
    return shown
