"""Frames as tables for people: which columns, in which words and units. Pure."""

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
        "reference",
    ]
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


def cases(found: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "case": found["name"],
            "version": found["model_version"],
            "status": found["status"],
            "error": found["error_message"],
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


def alike(row: Any) -> str:
    """The version of a case and its comparability key in words: rows of one label may be drawn together."""
    parts = dict(part.split("=", 1) for part in str(row["comparability"]).split("; "))
    workload, _, content = parts["workload"].partition(":")
    rest = ", ".join([parts["mode"], parts["hardware"], parts["device"], f"{parts['threads']} threads"])
    return f"{row['model']} {row['model_version']} on {workload}{f' ({content[:6]})' if content else ''}: {rest}"


def override(row: Any) -> str:
    """Who compared two unlike runs on purpose, and why; nothing in it is markup."""
    return theme.markdown(
        f"Compared on purpose although unlike, {row['recorded_at']:%Y-%m-%d} by {row['owner']}: {row['reason']}"
        f" ({row['differs']})"
    )
