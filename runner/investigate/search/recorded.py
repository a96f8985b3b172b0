"""What earlier searches of the same measured, read from rows; and what is known of every node."""

from __future__ import annotations

import math
from typing import Any

import duckdb

from assay.runner.investigate.search.plan import SearchPlan
from assay.runner.investigate.search.trials import CandidateNode, TimedTrial
from assay.runner.timing.traces import original_name
from assay.schema.metrics import ALL_NODES_SQNR_DB
from assay.schema.queries import runs as run_queries
from assay.schema.store.database import Store, reading, snapshot

Row = dict[str, Any]


def recorded_nodes(store: Store, plan: SearchPlan) -> tuple[list[CandidateNode], str] | None:
    """Phase 1 of the newest search of the same, and the model's version; None where there is none."""
    published = snapshot(store)
    if published is None:
        return None
    with reading(published) as connection:
        asked = _newest(connection, plan, "sensitivity", plan.variant, plan.version)
        if asked is None:
            return None
        version = str(asked["model_version"])
        ledger = _newest(connection, plan, "ledger", plan.variant, version)
        profiles = [_newest(connection, plan, "profile", variant, version) for variant in ("fp32", plan.variant)]
        times = [
            (
                {
                    original_name(row["name"]): row["median_us"]
                    for row in run_queries.of_case(connection, "layer", case["case_id"])
                }
                if case
                else {}
            )
            for case in profiles
        ]
        entries = run_queries.of_case(connection, "ledger", ledger["case_id"]) if ledger else []
        figures = run_queries.of_case(connection, "measurement", asked["case_id"])
        everything = next((m["value"] for m in figures if m["metric"] == ALL_NODES_SQNR_DB), None)
        asked_of = run_queries.of_case(connection, "sensitivity", asked["case_id"])
        return nodes_of(asked_of, entries, times[0], times[1], everything), version


def recall(plan: SearchPlan, trial: TimedTrial, store: Store, version: str, *, timed: bool = True) -> bool:
    """Fill in a trial from rows of this version of the model; False where a part of it is missing."""
    published = snapshot(store)
    if published is None:
        return False
    with reading(published) as connection:
        for check in ("quality", "benchmark")[: 1 + timed]:
            case = _newest(connection, plan, check, trial.variant, version)
            if case is None:
                return False
            trial.run_id = case["run_id"]
            trial.figures |= {
                m["metric"]: (m["value"], m["low"], m["high"])
                for m in run_queries.of_case(connection, "measurement", case["case_id"])
            }
    return True


def _newest(
    connection: duckdb.DuckDBPyConnection, plan: SearchPlan, check: str, variant: str, version: str | None
) -> Row | None:
    return run_queries.newest_case(connection, plan.identity, plan.environment_id, plan.case(check, variant), version)


def nodes_of(
    sensitivity: list[dict[str, Any]],
    ledger: list[dict[str, Any]],
    float_us: dict[str, float],
    quantized_us: dict[str, float],
    everything: float | None,
) -> list[CandidateNode]:
    """Every node with what its sensitivity, its ledger and both profiles say of it."""
    worst: dict[str, float] = {}
    for entry in ledger:
        if entry["kind"] != "bias" and entry["sqnr_db"] is not None:
            worst[entry["node"]] = min(worst.get(entry["node"], math.inf), entry["sqnr_db"])
    return [
        CandidateNode(
            e["node"],
            e["op_type"],
            e["alone_sqnr_db"],
            e["without_sqnr_db"],
            worst.get(e["node"]),
            float_us.get(e["node"]),
            quantized_us.get(e["node"]),
            everything,
        )
        for e in sensitivity
    ]
