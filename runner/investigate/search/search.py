"""Which nodes are better left in float: a search that measures. Read `search` first.

Phase 1 asks every node what it costs (quantized alone, its noise at the outputs) and what it saves (its time in both
profiles). Phase 2 tries sets of excluded nodes, made from that in two orders, on the task's metric and on the latency
in turns with the float variant: as ordinary cases of ordinary runs, so that every figure is a row.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from assay.runner.errors import NothingMeasured, UsageError
from assay.runner.investigate.search.plan import Request, SearchPlan, plan_of
from assay.runner.investigate.search.recorded import nodes_of, recall, recorded_nodes
from assay.runner.investigate.search.trials import CandidateNode, TimedTrial, candidates, choose, explained, front
from assay.runner.run.execute import Finished, Options, run_suite
from assay.runner.run.outcome import Outcome, Progress
from assay.runner.run.rows import measurement_rows
from assay.runner.suites.suite import Suite
from assay.runner.timing.traces import original_name
from assay.schema import rows
from assay.schema.metrics import ALL_NODES_SQNR_DB, LATENCY_P50_MS, LATENCY_RATIO, MODEL_BYTES, QUALITY_DROP_RELATIVE
from assay.schema.store import ingest
from assay.schema.store.database import Store
from assay.schema.store.spool import new_id, now, write_bundle

_ROUND = 3
"""Trials that are timed together with the float variant."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    search: rows.Search
    nodes: list[rows.SearchNode]
    trials: list[rows.SearchTrial]


@dataclass(frozen=True, slots=True)
class _Context:
    """What both phases run with."""

    plan: SearchPlan
    folder: Path
    store: Store
    options: Options
    resume: bool
    progress: Progress

    def run(self, suite: Suite) -> Finished:
        return run_suite(suite, self.folder, self.store, self.options, self.progress)


def search(
    suite: Suite, folder: Path, store: Store, argument: str, request: Request, progress: Progress
) -> SearchResult:
    """Find the nodes to exclude within a budget of seconds, and record how; a first round of trials is always run.

    Raises:
        UsageError: the suite has no such model or variant, or no quality case of them.
        NothingMeasured: phase 1 failed, or no trial was measured.
    """
    started = time.monotonic()
    plan = plan_of(suite, request)
    options = Options(
        argument,
        {request.model: request.version} if request.version else {},
        trigger="manual",
        wait_s=request.wait_s,
        reproduce=f"assay search {argument} --model {request.model} --variant {request.variant}",
        identity=plan.identity,
    )
    context = _Context(plan, folder, store, options, request.resume, progress)
    nodes, version = _phase_one(context)
    waiting = candidates(nodes, plan.variant)
    done = [_float_trial(plan, nodes, store, version)]
    slowest = 0.0
    while waiting and (not slowest or time.monotonic() - started + slowest <= request.budget_s):
        batch, waiting = waiting[:_ROUND], waiting[_ROUND:]
        begun = time.monotonic()
        done += _try(context, batch, version)
        slowest = max(slowest, time.monotonic() - begun)
    measured = [trial for trial in done if trial.drop is not None and LATENCY_RATIO in trial.figures]
    if not measured:
        raise NothingMeasured("no trial of the search was measured to its end; a larger --budget may help.")
    found = _found(plan, request, nodes, done, choose(measured, request.max_drop), version, time.monotonic() - started)
    write_bundle(store, found.search.run_id, [found.search, *found.nodes, *found.trials])
    ingest.sync(store, request.wait_s)
    return found


def _phase_one(context: _Context) -> tuple[list[CandidateNode], str]:
    """Every node's cost and saving, and the model's version.

    Read from rows with `resume` where they are there already.
    """
    plan = context.plan
    labelled = plan.quality.workloads[0]
    tables = (
        plan.table("sensitivity", (plan.variant,), labelled),
        plan.table("ledger", (plan.variant,), labelled),
        plan.table("profile", ("fp32", plan.variant), plan.timed_on),
        plan.table("quality", ("fp32",), labelled),
    )
    if context.resume and (known := recorded_nodes(context.store, plan)) is not None:
        return known
    context.progress.starting("search: what each node costs")
    finished = context.run(plan.derived(tables, {}))
    by_check = {(o.case.check, o.case.variant): o for o in finished.outcomes}
    asked = by_check.get(("sensitivity", plan.variant))
    if asked is None or asked.status != "ok":
        why = asked.error_message if asked else "it did not run"
        raise NothingMeasured(f"the sensitivity of {plan.variant!r} was not measured: {why}")
    ledger = by_check.get(("ledger", plan.variant))
    layers = {variant: _times(by_check.get(("profile", variant))) for variant in ("fp32", plan.variant)}
    entries = ledger.told.get("ledger", []) if ledger else []
    everything = next((f.value for f in asked.figures if f.metric == ALL_NODES_SQNR_DB), None)
    return (
        nodes_of(asked.told.get("sensitivity", []), entries, layers["fp32"], layers[plan.variant], everything),
        asked.version,
    )


def _times(outcome: Outcome | None) -> dict[str, float]:
    return {} if outcome is None else {original_name(layer["name"]): layer["median_us"] for layer in outcome.layers}


def _float_trial(plan: SearchPlan, nodes: list[CandidateNode], store: Store, version: str) -> TimedTrial:
    """Nothing quantized: what every trial has to beat, at a latency ratio of 1 by definition."""
    every = tuple(node.name for node in nodes)
    trial = TimedTrial("fp32", "quantize nothing", every, None, None)
    if recall(plan, trial, store, version, timed=False):
        trial.figures[LATENCY_RATIO] = (1.0, 1.0, 1.0)
    return trial


def _try(context: _Context, batch: list[TimedTrial], version: str) -> list[TimedTrial]:
    """Measure some trials in one run; those that were measured before are read with `resume`."""
    plan = context.plan
    left = [trial for trial in batch if not (context.resume and recall(plan, trial, context.store, version))]
    if not left:
        return batch
    base = plan.suite.variant[plan.variant]
    variants = {
        trial.variant: base.model_copy(
            update={
                "options": {
                    **base.options,
                    "nodes_to_exclude": sorted({*base.options.get("nodes_to_exclude", ()), *trial.excluded}),
                }
            }
        )
        for trial in left
    }
    names = tuple(trial.variant for trial in left)
    tables = (
        plan.table("quality", names, plan.quality.workloads[0]),
        plan.table("parity", names, plan.quality.workloads[0]),
        plan.table("benchmark", ("fp32", *names), plan.timed_on),
    )
    finished = context.run(plan.derived(tables, variants))
    if other := {outcome.version for outcome in finished.outcomes} - {version}:
        raise UsageError(
            f"the model is now version {other.pop()!r}, and what each node costs was measured on {version!r}: search"
            " again without --resume."
        )
    for trial in left:
        trial.run_id = finished.run_id
        for outcome in finished.outcomes:
            if outcome.case.variant == trial.variant:
                trial.figures |= {m.metric: (m.value, m.low, m.high) for m in measurement_rows(outcome, "", "")}
                trial.figures |= _sqnr(outcome)
    return batch


def _sqnr(outcome: Outcome) -> dict[str, tuple[float, float | None, float | None]]:
    found = next(
        (
            r["sqnr_db"]
            for r in outcome.receipts
            if r["step"] < 0 and r.get("mode") not in ("repeat", "lengths", "simulated")
        ),
        None,
    )
    return {} if found is None else {"sqnr_db": (found, None, None)}


def _found(
    plan: SearchPlan,
    request: Request,
    nodes: list[CandidateNode],
    done: list[TimedTrial],
    choice: tuple[TimedTrial, str],
    version: str,
    spent: float,
) -> SearchResult:
    chosen, reason = choice
    best = front([trial for trial in done if LATENCY_RATIO in trial.figures])
    search_id, last = new_id(), done[-1].run_id
    header = rows.Search(
        search_id=search_id, run_id=last, recorded_at=now(), suite=plan.suite.name, model=plan.model, model_version=version,
        variant=plan.variant, workload=plan.quality.workloads[0], metric=plan.metric, budget_s=request.budget_s, spent_s=spent,
        trials=len(done), excluded=list(chosen.excluded), reason=reason,
    )  # fmt: skip
    ranked = sorted(nodes, key=lambda node: -node.noise)
    return SearchResult(
        header,
        [
            _node_row(search_id, last, position, node, node.name in chosen.excluded)
            for position, node in enumerate(ranked)
        ],
        [
            _trial_row(search_id, position, plan, trial, front=trial in best, chosen=trial is chosen)
            for position, trial in enumerate(done)
        ],
    )


def _node_row(search_id: str, run_id: str, position: int, node: CandidateNode, excluded: bool) -> rows.SearchNode:
    return rows.SearchNode(
        search_id=search_id, run_id=run_id, position=position, node=node.name, op_type=node.op_type, alone_sqnr_db=node.alone_db,
        without_sqnr_db=node.without_db, ledger_sqnr_db=node.ledger_db, float_us=node.float_us, quantized_us=node.quantized_us,
        excluded=excluded, reason=explained(node, excluded),
    )  # fmt: skip


def _trial_row(
    search_id: str, position: int, plan: SearchPlan, trial: TimedTrial, *, front: bool, chosen: bool
) -> rows.SearchTrial:
    drop = trial.figures.get(QUALITY_DROP_RELATIVE, (None, None, None))
    ratio = trial.figures.get(LATENCY_RATIO, (None, None, None))
    size = trial.value(MODEL_BYTES)
    return rows.SearchTrial(
        search_id=search_id, run_id=trial.run_id, position=position, variant=trial.variant, origin=trial.origin, excluded=list(trial.excluded),
        predicted_sqnr_db=trial.predicted_db, predicted_us=trial.predicted_us, value=trial.value(plan.metric), drop_relative=drop[0],
        drop_low=drop[1], drop_high=drop[2], sqnr_db=trial.value("sqnr_db"), latency_ms=trial.value(LATENCY_P50_MS), latency_ratio=ratio[0],
        ratio_low=ratio[1], ratio_high=ratio[2], bytes=None if size is None else int(size), front=front, chosen=chosen,
    )  # fmt: skip
