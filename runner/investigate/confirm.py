"""Is a change real? The old and the new artifact again, in turns on one host, within a budget.

The answer is recorded with the alert.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import duckdb

from assay.runner.errors import UsageError
from assay.runner.investigate.rerun import Budget, Impossible, Rerun, bench, here
from assay.runner.regressions.alerts.causes import SEVERITIES
from assay.runner.regressions.alerts.events import event_of
from assay.runner.run.outcome import Progress
from assay.runner.suites.run_here import suite_here
from assay.schema.metrics import LATENCY, known
from assay.schema.queries import alerts as alert_queries
from assay.schema.rows import Row
from assay.schema.rows.alerts import Change, Confirmation
from assay.schema.store import ingest
from assay.schema.store.database import Store, reading, snapshot
from assay.schema.store.spool import new_id, now, write_bundle

_MOST = 1 / 3
"""Of a change (in ln): a re-run that shows less than that does not show it."""


def verdict(answer: Rerun, recorded: float | None, *, better: str) -> tuple[str, str]:
    """`confirmed`, `refuted` or `undecided`, and why.

    Verdicts and statuses: the old one passes and the new one fails. Figures: confirmed where the whole interval is
    worse than no change and the ratio shows at least a third of what the history does; refuted where even the
    interval's worse end shows less than a third.
    """
    if answer.passed is not None:
        old, new = ("passes" if passed else "fails" for passed in answer.passed)
        told = f"the old one {old}, the new one {new}"
        return ("confirmed" if answer.passed == (True, False) else "refuted" if answer.passed[1] else "undecided"), told
    sign = 1 if better == "lower" else -1
    if answer.ratio is None or answer.ratio <= 0:
        return "undecided", "the re-run has no ratio"
    seen = sign * math.log(answer.ratio)
    asked = abs(math.log(recorded)) if recorded and recorded > 0 else 0.01
    ends = [sign * math.log(end) for end in (answer.low, answer.high) if end and end > 0]
    told = f"in turns the new one is {answer.ratio:.3g}x the old one" + (
        f" [{answer.low:.3g}, {answer.high:.3g}]" if len(ends) == 2 else ""
    )
    least, most = (min(ends), max(ends)) if len(ends) == 2 else (seen, seen)
    if least > 0 and seen >= _MOST * asked:
        return "confirmed", told
    return ("refuted" if most < _MOST * asked else "undecided"), f"{told}; the history says {recorded or math.nan:.3g}x"


def persisting(value: float, change: Mapping[str, Any]) -> tuple[str, str]:
    """Of one artifact on both sides: whether this host still gives the new level.

    The model is out of question either way.
    """
    before, after = (sorted(change[side])[len(change[side]) // 2] for side in ("before", "after"))
    middle = math.sqrt(before * after) if min(before, after) > 0 else (before + after) / 2
    still = (value > middle) == (after > before)
    told = (
        f"the same artifact ran on both sides, so it is not the model; now {value:.4g}, {before:.4g} before,"
        f" {after:.4g} since"
    )
    return ("confirmed" if still else "refuted"), told


def confirm_alert(
    connection: duckdb.DuckDBPyConnection,
    store: Store,
    alert_id: str,
    budget: Budget,
    progress: Progress,
    suite: str | None = None,
) -> Confirmation:
    """Run the clearest change of an alert again.

    Raises:
        UsageError: the alert has no change that could be run again.
    """
    changes = [
        row
        for row in alert_queries.changes_of(connection, alert_id)
        if row["direction"] == "regression" and row["kind"] != "spread"
    ]
    if not changes:
        raise UsageError(f"alert {alert_id} has no change that could be run again.")
    return run_again(connection, store, clearest(changes), alert_id, budget, progress, suite)


def clearest(changes: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The change that a re-run can tell most of.

    Made on this host; paired in turns (what a launch tells once has no interval); a median latency before what is made
    of it (rates, tails); the smallest p.
    """

    def order(row: Mapping[str, Any]) -> tuple[Any, ...]:
        metric = row["metric"]
        return row["host"] != here(), not known(metric).paired, metric not in LATENCY, row["p_value"], row["change_id"]

    return min(changes, key=order)


def run_again(
    connection: duckdb.DuckDBPyConnection, store: Store, change: Mapping[str, Any], alert_id: str | None, budget: Budget, progress: Progress,
    suite: str | None = None,
) -> Confirmation:  # fmt: skip
    """Run both sides of one change; what cannot be done here is an answer too (`impossible`)."""
    started, answer = time.monotonic(), Rerun()
    try:
        _check(change, budget)
        made = bench(connection, store, suite or suite_here(store, change["suite"]), progress)
        made.limit_s = budget.left_s
        old = made.side(change["name"], change["version_before"], change["artifact_before"], 0)
        new = made.side(change["name"], change["version"], change["artifact"], 1)
        answer = made.compare(old, new, change["metric"])
        same = change["artifact"] is not None and change["artifact"] == change["artifact_before"]
        if same and answer.values is not None:
            outcome, reason = persisting(answer.values[1], change)
        else:
            outcome, reason = verdict(answer, change["ratio"], better=_better(change["metric"]))
    except (Impossible, UsageError) as error:
        outcome, reason = "impossible", str(error)
    return Confirmation(
        confirmation_id=new_id(), alert_id=alert_id, recorded_at=now(), suite=change["suite"], name=change["name"], metric=change["metric"],
        version_before=change["version_before"], version=change["version"], artifact_before=change["artifact_before"], artifact=change["artifact"],
        recorded_ratio=change["ratio"], ratio=answer.ratio, low=answer.low, high=answer.high, outcome=outcome, reason=reason,
        seconds=time.monotonic() - started, host=here(),
    )  # fmt: skip


def _better(metric: str) -> str:
    return known(metric).better


def _check(change: Mapping[str, Any], budget: Budget) -> None:
    if change["host"] != here():
        raise Impossible(f"it was measured on {change['host']}, and this is {here()}")
    if budget.left_s <= 0:
        raise Impossible("the budget of the night is spent")


def confirm(
    store: Store,
    alerts: Sequence[str],
    budget: Budget,
    progress: Progress,
    *,
    suite: str | None = None,
    wait_s: float = 30.0,
) -> list[Confirmation]:
    """Run alerts again, one after the other, and record what came of each; what is refuted stays open, and says so.

    Raises:
        StoreError: the books cannot be read or written.
    """
    published = snapshot(store)
    if published is None:
        return []
    made: list[Confirmation] = []
    for alert_id in alerts:
        with reading(published) as connection:
            made.append(confirm_alert(connection, store, alert_id, budget, progress, suite))
        write_bundle(store, f"alert-{alert_id}", _rows(made[-1]))
    if made:
        ingest.sync(store, wait_s)
    return made


def confirm_suspicions(
    store: Store, suspected: Sequence[Change], budget: Budget, progress: Progress, wait_s: float = 30.0
) -> tuple[list[Change], list[Confirmation]]:
    """Run the clearest suspicion of each case again.

    The changes of the cases whose re-run confirmed it, and every answer. Nothing becomes an alert here.

    Raises:
        StoreError: the books cannot be read or written.
    """
    published = snapshot(store)
    if published is None or not suspected:
        return [], []
    by_case: dict[str, list[Change]] = {}
    for change in suspected:
        by_case.setdefault(change.name, []).append(change)
    believed: list[Change] = []
    answers: list[Confirmation] = []
    for changes in by_case.values():
        with reading(published) as connection:
            answers.append(
                run_again(connection, store, clearest([asdict(change) for change in changes]), None, budget, progress)
            )
        if answers[-1].outcome == "confirmed":
            believed += [replace(change, message=f"{change.message}; {answers[-1].reason}") for change in changes]
    write_bundle(store, "suspicions", answers)
    ingest.sync(store, wait_s)
    return believed, answers


def _rows(made: Confirmation) -> list[Row]:
    if made.outcome not in ("confirmed", "refuted") or made.alert_id is None:
        return [made]
    return [made, event_of(made.alert_id, made.outcome, now(), f"{made.name}: {made.reason}")]


def gravest_first(alerts: Sequence[Mapping[str, Any]]) -> list[str]:
    """Ids of alerts in the order that a budget should be spent."""
    return [row["alert_id"] for row in sorted(alerts, key=lambda row: -SEVERITIES.index(row["severity"]))]
