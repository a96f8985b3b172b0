"""Running cases whose model is prepared: parity one case after the other, benchmarks in turns."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from runner.case import Case
from runner.isolate import Worker, WorkerFailed
from runner.parity.waiver import Waiver
from runner.prepare import Prepared, backend_options, source_of
from runner.record import Event, Outcome, Progress, artifact_row
from runner.suite import Suite
from runner.timing import statistics
from schema.spool import now
from schema.store import Store


def run_group(
    suite: Suite, folder: Path, store: Store, prepared: Prepared, group: list[Case], progress: Progress,
    waivers: Sequence[Waiver] = (), dump: Path | None = None,
) -> Iterator[Outcome]:  # fmt: skip
    """Outcomes of cases that share a model and a right side, each as soon as it is known; benchmarks last."""
    benchmarks: dict[tuple[int, str], list[Outcome]] = {}
    for case in group:
        outcome = _outcome(case, prepared)
        if failure := prepared.failure_for(case):
            _fail(outcome, failure)
            yield outcome
        elif case.check == "benchmark":
            benchmarks.setdefault((case.group, case.workload), []).append(outcome)
        else:
            progress.starting(case.name)
            _run_parity(suite, folder, store, prepared, outcome, waivers, dump)
            yield outcome
    for outcomes in benchmarks.values():
        progress.starting(f"{outcomes[0].case.model}: {len(outcomes)} cases timed in turns")
        _run_benchmarks(suite, folder, store, prepared, outcomes)
        yield from outcomes


def _outcome(case: Case, prepared: Prepared) -> Outcome:
    outcome = Outcome(case, prepared.version, now(), prepared=prepared.workloads.get(case.workload, {}))
    outcome.reference_told = {kind: prepared.of(kind, case) for kind in prepared.told}
    outcome.contract_sha256 = prepared.model.get("contract_sha256")
    if case.choice.kind == "pytorch" and prepared.model.get("parameters") is not None:
        weights, size = prepared.model["parameters"], prepared.model["parameter_bytes"]
        event = {
            "sha256": prepared.model["sha256"],
            "bytes": size,
            "parameters": weights,
            "bits_per_weight": 8 * size / weights if weights else None,
        }
        outcome.artifact = artifact_row(
            event, model=case.model, version=prepared.version, variant=case.variant, format_="python", recipe="source"
        )
    elif case.variant in prepared.artifacts:
        event = prepared.artifacts[case.variant]
        outcome.artifact = artifact_row(
            event,
            model=case.model,
            version=prepared.version,
            variant=case.variant,
            format_="onnx",
            recipe=case.recipe.recipe,
        )
    return outcome


def _fail(outcome: Outcome, failure: WorkerFailed) -> None:
    outcome.status, outcome.error_type, outcome.error_message = failure.status, failure.kind, failure.message


def _job(suite: Suite, folder: Path, store: Store, prepared: Prepared, case: Case, op: str) -> Event:
    source = source_of(suite, case, case.choice.kind, folder)
    if source["kind"] == "onnx":
        source["location"] = prepared.artifacts[case.variant]["path"]
    return {
        "op": op, "backend": case.choice.kind, "source": source, "options": backend_options(case.choice),
        "goldens": store.goldens, "golden": case.golden or prepared.golden_names[case.workload],
        "policy": case.policy.model_dump(mode="json"), "rename": suite.model[case.model].rename,
        "timing": case.timing.model_dump(), "folder": str(folder), "mode": case.mode, "max_steps": case.max_steps,
        "pad_side": case.pad_side, "lengths": prepared.lengths.get((case.variant, case.workload)),
        "contract": suite.model[case.model].contract, "contract_options": suite.model[case.model].contract_options,
        "rename_inputs": suite.model[case.model].rename_inputs,
    }  # fmt: skip


def _run_parity(
    suite: Suite,
    folder: Path,
    store: Store,
    prepared: Prepared,
    outcome: Outcome,
    waivers: Sequence[Waiver],
    dump: Path | None,
) -> None:
    """Parity and consistency: receipts, and everything else that the worker tells."""
    started = time.perf_counter()
    case = outcome.case
    try:
        job = _job(suite, folder, store, prepared, case, case.check)
        job["premises"] = sorted({waiver.premise for waiver in waivers if waiver.covers(case.name)})
        job["dump"] = str(dump / case.name.replace("/", "_")) if dump else None
        with Worker(job, python=case.choice.python, timeout_s=case.timeout_s) as worker:
            for event in worker.events():
                if event["event"] == "opened":
                    outcome.opened = event
                elif event["event"] == "receipt":
                    outcome.receipts.append(event)
                else:
                    outcome.told.setdefault(event.pop("event"), []).append(event)
    except WorkerFailed as failure:
        _fail(outcome, failure)
    if outcome.status != "ok":
        outcome.receipts.clear()  # a comparison that did not finish proves nothing
        outcome.told.clear()
    outcome.duration_s = time.perf_counter() - started


def _run_benchmarks(suite: Suite, folder: Path, store: Store, prepared: Prepared, outcomes: list[Outcome]) -> None:
    """Time cases in turns, forwards and backwards (ABBA), so that what the machine does hits all of them."""
    workers: dict[str, Worker] = {}
    started = time.perf_counter()
    try:
        for outcome in outcomes:
            case = outcome.case
            job = _job(suite, folder, store, prepared, case, "benchmark")
            try:
                worker = Worker(job, python=case.choice.python, timeout_s=case.timeout_s * len(outcomes))
                workers[outcome.case_id] = worker
                outcome.opened = worker.until("opened")
                outcome.ready = worker.until("ready")
            except WorkerFailed as failure:
                _fail(outcome, failure)
        for _ in range(max(outcome.case.timing.rounds for outcome in outcomes)):
            for outcome in (*outcomes, *reversed(outcomes)):
                if outcome.status == "ok":
                    _time_block(workers[outcome.case_id], outcome)
        for outcome in outcomes:
            if outcome.status == "ok":
                _close(workers[outcome.case_id], outcome)
    finally:
        for worker in workers.values():
            worker.__exit__(None, None, None)
    _add_ratios(outcomes)
    for outcome in outcomes:
        outcome.duration_s = (time.perf_counter() - started) / len(outcomes)


def _time_block(worker: Worker, outcome: Outcome) -> None:
    worker.send({"block": True})
    try:
        outcome.blocks.append(worker.until("block")["ms"])
    except WorkerFailed as failure:
        _fail(outcome, failure)
        outcome.blocks.clear()


def _close(worker: Worker, outcome: Outcome) -> None:
    worker.send({"stop": True})
    try:
        outcome.peak_rss_bytes = worker.until("memory")["peak_rss_bytes"]
    except WorkerFailed as failure:
        _fail(outcome, failure)


def _add_ratios(outcomes: list[Outcome]) -> None:
    """Latency over the reference's, where the reference was timed in the same turns."""
    right = next((o for o in outcomes if o.case.backend == o.case.reference and o.status == "ok"), None)
    for outcome in outcomes:
        if right is not None and outcome is not right and outcome.status == "ok":
            outcome.ratio = statistics.paired_ratio(np.array(outcome.blocks), np.array(right.blocks))
