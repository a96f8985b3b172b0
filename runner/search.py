"""Which nodes are better left in float: a search that measures. Read `search` first.

Phase 1 asks every node what it costs (quantized alone, its noise at the outputs) and what it saves (its time in both profiles). Phase 2 tries sets of excluded nodes, made
from that in two orders, on the task's metric and on the latency in turns with the float variant: as ordinary cases of ordinary runs, so that every figure is a row.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.errors import NothingMeasured, UsageError, nearest
from runner.execute import Options, run_suite
from runner.quality.tasks import PRIMARY
from runner.record import Outcome, Progress, measurement_rows
from runner.search_trials import Node, Trial, candidates, choose, explained, front
from runner.suite import CaseTable, Suite, Timing, Variant
from runner.timing.traces import original_name
from schema import ingest, queries, rows
from schema.spool import new_id, now, write_bundle
from schema.store import Store, reading, snapshot

_ROUND = 3
"""Trials that are timed together with the float variant."""
_BACKEND = "onnxruntime"


@dataclass(frozen=True, slots=True)
class Request:
    model: str
    variant: str
    budget_s: float = 600.0
    max_drop: float = 0.01
    """Relative loss of the main metric that is accepted; the interval's upper end has to keep it where it can."""
    version: str | None = None
    """One of the model's named versions; its last one where there is none given."""
    resume: bool = False
    wait_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Found:
    search: rows.Search
    nodes: list[rows.SearchNode]
    trials: list[rows.SearchTrial]


def search(suite: Suite, folder: Path, store: Store, argument: str, request: Request, progress: Progress) -> Found:
    """Find the nodes to exclude within a budget of seconds, and record how; a first round of trials is always run.

    Raises:
        UsageError: the suite has no such model or variant, or no quality case of them.
        NothingMeasured: phase 1 failed, or no trial was measured.
    """
    started = time.monotonic()
    plan = _plan(suite, request)
    options = Options(
        argument,
        {request.model: request.version} if request.version else {},
        trigger="manual",
        wait_s=request.wait_s,
        reproduce=f"assay search {argument} --model {request.model} --variant {request.variant}",
    )
    nodes, version = _phase_one(plan, folder, store, options, request, progress)
    waiting = candidates(nodes, plan.variant)
    done = [_float_trial(plan, nodes, store)]
    slowest = 0.0
    while waiting and (not slowest or time.monotonic() - started + slowest <= request.budget_s):
        batch, waiting = waiting[:_ROUND], waiting[_ROUND:]
        begun = time.monotonic()
        done += _try(plan, batch, folder, store, options, request, progress)
        slowest = max(slowest, time.monotonic() - begun)
    measured = [trial for trial in done if trial.drop is not None and "latency_ratio" in trial.figures]
    if not measured:
        raise NothingMeasured("no trial of the search was measured to its end; a larger --budget may help.")
    found = _found(plan, request, nodes, done, choose(measured, request.max_drop), version, time.monotonic() - started)
    write_bundle(store, found.search.run_id, [found.search, *found.nodes, *found.trials])
    ingest.sync(store, request.wait_s)
    return found


@dataclass(frozen=True, slots=True)
class Plan:
    """The part of a suite that a search is about."""

    suite: Suite
    model: str
    variant: str
    quality: CaseTable
    timed_on: str
    """The workload that latency is measured on."""
    metric: str
    version: str | None

    def derived(self, tables: tuple[CaseTable, ...], variants: dict[str, Variant]) -> Suite:
        return self.suite.model_copy(
            update={"name": f"{self.suite.name}-search", "case": tables, "variant": {**self.suite.variant, **variants}}
        )

    def table(self, check: str, variants: tuple[str, ...], workload: str) -> CaseTable:
        return CaseTable.model_validate({
            "check": check, "models": (self.model,), "variants": variants, "workloads": (workload,), "backends": (_BACKEND,),
            "against": f"fp32/{_BACKEND}" if "fp32" in variants else None, "timing": Timing(rounds=4, block_ms=50, max_warmup_s=2),
        })  # fmt: skip


def _plan(suite: Suite, request: Request) -> Plan:
    if request.model not in suite.model:
        raise UsageError(f"suite {suite.name!r} has no model {request.model!r}.{nearest(request.model, suite.model)}")
    if request.variant not in suite.variant:
        raise UsageError(
            f"suite {suite.name!r} has no variant {request.variant!r}.{nearest(request.variant, suite.variant)}"
        )
    if suite.variant[request.variant].recipe != "onnxruntime-static":
        raise UsageError(
            f"variant {request.variant!r} is made by {suite.variant[request.variant].recipe!r}; nodes can be left out of 'onnxruntime-static' variants."
        )

    def table_with(check: str) -> CaseTable | None:
        return next(
            (t for t in suite.case if request.model in t.models and check in ((t.check,) if isinstance(t.check, str) else t.check)), None
        )  # fmt: skip

    quality, timed = table_with("quality"), table_with("benchmark")
    task = suite.workload[quality.workloads[0]].task if quality else None
    if quality is None or task is None:
        raise UsageError(
            f"suite {suite.name!r} has no quality case of {request.model!r}: there is no metric to search by."
        )
    timed_on = (timed or quality).workloads[0]
    return Plan(suite, request.model, request.variant, quality, timed_on, PRIMARY[task.kind], request.version)


def _phase_one(
    plan: Plan, folder: Path, store: Store, options: Options, request: Request, progress: Progress
) -> tuple[list[Node], str]:
    """Every node's cost and saving; read from rows with `resume` where they are there already."""
    labelled = plan.quality.workloads[0]
    tables = (
        plan.table("sensitivity", (plan.variant,), labelled), plan.table("ledger", (plan.variant,), labelled),
        plan.table("profile", ("fp32", plan.variant), plan.timed_on), plan.table("quality", ("fp32",), labelled),
    )  # fmt: skip
    if request.resume and (known := _recorded_nodes(store, plan)) is not None:
        return known
    progress.starting("search: what each node costs")
    finished = run_suite(plan.derived(tables, {}), folder, store, options, progress)
    by_check = {(o.case.check, o.case.variant): o for o in finished.outcomes}
    asked = by_check.get(("sensitivity", plan.variant))
    if asked is None or asked.status != "ok":
        why = asked.error_message if asked else "it did not run"
        raise NothingMeasured(f"the sensitivity of {plan.variant!r} was not measured: {why}")
    ledger = by_check.get(("ledger", plan.variant))
    layers = {variant: _times(by_check.get(("profile", variant))) for variant in ("fp32", plan.variant)}
    entries = ledger.told.get("ledger", []) if ledger else []
    everything = next((f["value"] for f in asked.figures if f["metric"] == "all_nodes_sqnr_db"), None)
    return _nodes(
        asked.told.get("sensitivity", []), entries, layers["fp32"], layers[plan.variant], everything
    ), asked.version


def _recorded_nodes(store: Store, plan: Plan) -> tuple[list[Node], str] | None:
    """Phase 1 of the newest search of this suite, model and variant; None where there is none."""
    published = snapshot(store)
    if published is None:
        return None
    with reading(published) as connection:
        names = {check: f"{plan.model}/{variant}/{_BACKEND}/{workload}/{check}" for check, variant, workload in (
            ("sensitivity", plan.variant, plan.quality.workloads[0]), ("ledger", plan.variant, plan.quality.workloads[0]),
        )}  # fmt: skip
        suite = f"{plan.suite.name}-search"
        asked = queries.newest_case(connection, suite, names["sensitivity"], plan.version)
        if asked is None:
            return None
        ledger = queries.newest_case(connection, suite, names["ledger"], plan.version)
        profiles = [
            queries.newest_case(connection, suite, f"{plan.model}/{variant}/{_BACKEND}/{plan.timed_on}/profile", plan.version) for variant in ("fp32", plan.variant)
        ]  # fmt: skip
        times = [
            {original_name(row["name"]): row["median_us"] for row in queries.of_case(connection, "layer", case["case_id"])} if case else {} for case in profiles
        ]  # fmt: skip
        entries = queries.of_case(connection, "ledger", ledger["case_id"]) if ledger else []
        figures = queries.of_case(connection, "measurement", asked["case_id"])
        everything = next((m["value"] for m in figures if m["metric"] == "all_nodes_sqnr_db"), None)
        found = _nodes(
            queries.of_case(connection, "sensitivity", asked["case_id"]), entries, times[0], times[1], everything
        )
        return found, asked["model_version"]


def _times(outcome: Outcome | None) -> dict[str, float]:
    return {} if outcome is None else {original_name(layer["name"]): layer["median_us"] for layer in outcome.layers}


def _nodes(
    sensitivity: list[dict[str, Any]], ledger: list[dict[str, Any]], float_us: dict[str, float], quantized_us: dict[str, float],
    everything: float | None,
) -> list[Node]:  # fmt: skip
    worst: dict[str, float] = {}
    for entry in ledger:
        if entry["kind"] != "bias" and entry["sqnr_db"] is not None:
            worst[entry["node"]] = min(worst.get(entry["node"], math.inf), entry["sqnr_db"])
    return [
        Node(e["node"], e["op_type"], e["alone_sqnr_db"], e["without_sqnr_db"], worst.get(e["node"]),
             float_us.get(e["node"]), quantized_us.get(e["node"]), everything)
        for e in sensitivity
    ]  # fmt: skip


def _float_trial(plan: Plan, nodes: list[Node], store: Store) -> Trial:
    """Nothing quantized: what every trial has to beat, at a latency ratio of 1 by definition."""
    every = tuple(node.name for node in nodes)
    trial = Trial("fp32", "quantize nothing", every, None, None)
    if _recall(plan, trial, store, timed=False):
        trial.figures["latency_ratio"] = (1.0, 1.0, 1.0)
    return trial


def _try(
    plan: Plan, batch: list[Trial], folder: Path, store: Store, options: Options, request: Request, progress: Progress
) -> list[Trial]:
    """Measure some trials in one run; those that were measured before are read with `resume`."""
    left = [trial for trial in batch if not (request.resume and _recall(plan, trial, store))]
    if not left:
        return batch
    base = plan.suite.variant[plan.variant]
    variants = {
        trial.variant: base.model_copy(
            update={"options": {**base.options, "nodes_to_exclude": sorted({*base.options.get("nodes_to_exclude", ()), *trial.excluded})}}
        )
        for trial in left
    }  # fmt: skip
    names = tuple(trial.variant for trial in left)
    tables = (
        plan.table("quality", names, plan.quality.workloads[0]), plan.table("parity", names, plan.quality.workloads[0]),
        plan.table("benchmark", ("fp32", *names), plan.timed_on),
    )  # fmt: skip
    finished = run_suite(plan.derived(tables, variants), folder, store, options, progress)
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
    return {} if outcome.case.check != "parity" or found is None else {"sqnr_db": (found, None, None)}


def _recall(plan: Plan, trial: Trial, store: Store, *, timed: bool = True) -> bool:
    """Fill in a trial from rows; False where a part of it is missing."""
    published = snapshot(store)
    if published is None:
        return False
    with reading(published) as connection:
        for check, workload in (("quality", plan.quality.workloads[0]), ("benchmark", plan.timed_on))[: 1 + timed]:
            case = queries.newest_case(
                connection,
                f"{plan.suite.name}-search",
                f"{plan.model}/{trial.variant}/{_BACKEND}/{workload}/{check}",
                plan.version,
            )
            if case is None:
                return False
            trial.run_id = case["run_id"]
            trial.figures |= {
                m["metric"]: (m["value"], m["low"], m["high"])
                for m in queries.of_case(connection, "measurement", case["case_id"])
            }
    return True


def _found(
    plan: Plan,
    request: Request,
    nodes: list[Node],
    done: list[Trial],
    choice: tuple[Trial, str],
    version: str,
    spent: float,
) -> Found:
    chosen, reason = choice
    best = front([trial for trial in done if "latency_ratio" in trial.figures])
    search_id, last = new_id(), done[-1].run_id
    header = rows.Search(
        search_id=search_id, run_id=last, recorded_at=now(), suite=plan.suite.name, model=plan.model, model_version=version,
        variant=plan.variant, workload=plan.quality.workloads[0], metric=plan.metric, budget_s=request.budget_s, spent_s=spent,
        trials=len(done), excluded=list(chosen.excluded), reason=reason,
    )  # fmt: skip
    ranked = sorted(nodes, key=lambda node: -node.noise)
    return Found(
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


def _node_row(search_id: str, run_id: str, position: int, node: Node, excluded: bool) -> rows.SearchNode:
    return rows.SearchNode(
        search_id=search_id, run_id=run_id, position=position, node=node.name, op_type=node.op_type, alone_sqnr_db=node.alone_db,
        without_sqnr_db=node.without_db, ledger_sqnr_db=node.ledger_db, float_us=node.float_us, quantized_us=node.quantized_us,
        excluded=excluded, reason=explained(node, excluded),
    )  # fmt: skip


def _trial_row(
    search_id: str, position: int, plan: Plan, trial: Trial, *, front: bool, chosen: bool
) -> rows.SearchTrial:
    drop = trial.figures.get("quality_drop_relative", (None, None, None))
    ratio = trial.figures.get("latency_ratio", (None, None, None))
    size = trial.value("model_bytes")
    return rows.SearchTrial(
        search_id=search_id, run_id=trial.run_id, position=position, variant=trial.variant, origin=trial.origin, excluded=list(trial.excluded),
        predicted_sqnr_db=trial.predicted_db, predicted_us=trial.predicted_us, value=trial.value(plan.metric), drop_relative=drop[0],
        drop_low=drop[1], drop_high=drop[2], sqnr_db=trial.value("sqnr_db"), latency_ms=trial.value("latency_p50_ms"), latency_ratio=ratio[0],
        ratio_low=ratio[1], ratio_high=ratio[2], bytes=None if size is None else int(size), front=front, chosen=chosen,
    )  # fmt: skip
