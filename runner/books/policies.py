"""Trying a policy on everything that is recorded, and applying it: measured once, judged again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

import duckdb

from assay.runner.rules.policy import Judgement, Policy
from assay.runner.rules.rejudge import rejudge
from assay.runner.rules.waiver import Waiver
from assay.runner.run.rows import policy_row, verdict_row
from assay.schema import rows
from assay.schema.queries import parity as parity_queries
from assay.schema.queries import runs as run_queries
from assay.schema.store.database import Store
from assay.schema.store.spool import now, write_bundle


@dataclass(frozen=True, slots=True)
class Rejudged:
    """One output of one recorded case under another policy."""

    run_id: str
    case_id: str
    case: str
    model_version: str
    output: str
    was: str | None
    judgement: Judgement
    waiver_id: str | None

    @property
    def changes(self) -> bool:
        return self.was != self.judgement.outcome

    def as_row(self) -> dict[str, Any]:
        return {
            "run": self.run_id,
            "case": self.case,
            "version": self.model_version,
            "output": self.output,
            "was": self.was,
            "becomes": self.judgement.outcome,
            "reason": self.judgement.reason,
        }


def judged_again(
    connection: duckdb.DuckDBPyConnection, policy: Policy, pattern: str | None, waivers: list[Waiver]
) -> Iterator[Rejudged]:
    """Every recorded comparison whose case matches, oldest first."""
    for case in parity_queries.parity_cases(connection):
        if pattern is not None and not (fnmatch(case["name"], pattern) or pattern in case["name"]):
            continue
        receipts = parity_queries.receipts_of_case(connection, case["case_id"])
        invariants = run_queries.of_case(connection, "invariant", case["case_id"])
        for merged in (r for r in receipts if r["step"] < 0):
            name = merged["output"]
            if policy.for_output(name).ignore:
                continue
            judgement = rejudge(policy, merged, [r for r in receipts if r["output"] == name and r["step"] >= 0])
            if judgement.outcome == "pass" and case["outcomes"].get(name) == "vacuous":
                judgement = Judgement("vacuous", case["reasons"][name], judgement.rule)
            waiver = next(
                (
                    w
                    for w in waivers
                    if judgement.outcome == "fail"
                    and w.covers(case["name"], name)
                    and w.void(merged, invariants, now()) is None
                ),
                None,
            )
            if waiver:
                judgement = Judgement(
                    "waived",
                    f"{judgement.reason}; waived: {waiver.reason}",
                    judgement.rule,
                    None,
                    judgement.observed,
                    judgement.limit,
                )
            yield Rejudged(
                case["run_id"],
                case["case_id"],
                case["name"],
                case["model_version"],
                name,
                case["outcomes"].get(name),
                judgement,
                waiver.waiver_id if waiver else None,
            )


def apply_policy(store: Store, name: str, policy: Policy, judged: list[Rejudged]) -> int:
    """Write the verdicts that change, one bundle a run; the old ones stay, superseded. Returns how many were written.

    Raises:
        StoreError: a bundle could not be written; those before it are intact.
    """
    by_run: dict[str, list[Rejudged]] = {}
    for one in judged:
        if one.changes:
            by_run.setdefault(one.run_id, []).append(one)
    stamp = now()
    for run_id, changed in by_run.items():
        made: list[rows.Row] = [policy_row(name, policy)]
        made += [
            verdict_row(
                policy,
                one.judgement,
                case_id=one.case_id,
                run_id=run_id,
                subject="parity",
                name=one.output,
                judged_at=stamp,
                waiver_id=one.waiver_id,
            )
            for one in changed
        ]
        write_bundle(store, run_id, made)
    return sum(len(changed) for changed in by_run.values())
