"""Running cases whose model is prepared: parity one case after the other, benchmarks in turns."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from assay.runner.rules.waiver import Waiver
from assay.runner.run.checks import check_named, timed_check
from assay.runner.run.findings import device_findings
from assay.runner.run.in_force import add_unlike, in_force_findings
from assay.runner.run.outcome import Outcome, Progress
from assay.runner.run.prepare import Prepared, made_for, opened_from
from assay.runner.run.rows import artifact_row
from assay.runner.suites.case import Case
from assay.runner.suites.suite import Suite
from assay.runner.worker.events.facts import Measured, Opened, ReceiptGiven
from assay.runner.worker.events.wire import name_of
from assay.runner.worker.job import CaseJob
from assay.runner.worker.process import Worker, WorkerFailed
from assay.schema.store.database import Store
from assay.schema.store.spool import now


def run_group(
    suite: Suite,
    folder: Path,
    store: Store,
    prepared: Prepared,
    group: list[Case],
    progress: Progress,
    waivers: Sequence[Waiver] = (),
    dump: Path | None = None,
) -> Iterator[Outcome]:
    """Outcomes of cases that share a model and a right side, each as soon as it is known; benchmarks last."""
    timed: dict[tuple[int, str, str, str], list[Outcome]] = {}
    for case in group:
        outcome = outcome_of(suite, case, prepared)
        if failure := prepared.failure_for(case):
            outcome.fail(failure)
            yield outcome
        elif case.is_timed:
            how = timed_check(case.check).apart(case)
            timed.setdefault((case.group, case.workload, case.check, how), []).append(outcome)
        else:
            progress.starting(case.name)
            _run_alone(suite, folder, store, prepared, outcome, waivers, dump)
            yield outcome
    job = partial(job_of, suite, folder, store, prepared)
    for (_, _, check, _), outcomes in timed.items():
        timed_check(check).measure(outcomes, job, progress)
        for outcome in outcomes:
            outcome.say_what_opened()
            found = [*device_findings(outcome), *in_force_findings(outcome)]
            outcome.told["finding"] = [*outcome.told.get("finding", []), *found]
        add_unlike(outcomes)
        yield from outcomes


def outcome_of(suite: Suite, case: Case, prepared: Prepared) -> Outcome:
    """A case that has not run yet, with what preparing its model told."""
    outcome = Outcome(case, prepared.version, now(), prepared=prepared.workloads.get(case.workload, {}))
    outcome.reference_told = {kind: prepared.of(kind, case) for kind in prepared.told}
    outcome.model_sha256 = prepared.model.get("sha256")
    outcome.contract_sha256 = prepared.model.get("contract_sha256")
    outcome.items = suite.workload[case.workload].items if case.workload in suite.workload else None
    weights_from = prepared.model.get("weights")
    if case.choice.kind == "pytorch" and prepared.model.get("parameters") is not None:
        weights, size = prepared.model["parameters"], prepared.model["parameter_bytes"]
        event = {
            "sha256": prepared.model["sha256"],
            "bytes": size,
            "parameters": weights,
            "bits_per_weight": 8 * size / weights if weights else None,
        }
        outcome.artifact = artifact_row(
            event,
            model=case.model,
            version=prepared.version,
            variant=case.variant,
            format_="python",
            recipe="source",
            weights_from=weights_from,
        )
    elif made := prepared.engines.get((case.variant, case.backend)) or prepared.artifacts.get(case.variant):
        outcome.artifact = artifact_row(
            made,
            model=case.model,
            version=prepared.version,
            variant=case.variant,
            format_="engine" if (case.variant, case.backend) in prepared.engines else "onnx",
            recipe=case.recipe.recipe,
            weights_from=weights_from,
        )
    return outcome


def job_of(suite: Suite, folder: Path, store: Store, prepared: Prepared, case: Case) -> CaseJob:
    """What a case's worker is told."""
    source, options = opened_from(suite, folder, prepared, case)
    model = suite.model[case.model]
    job = CaseJob(
        op=case.check,
        backend=case.choice.kind,
        source=source,
        options=options,
        **made_for(prepared, case),
        goldens=str(store.goldens),
        golden=case.golden or prepared.golden_names[case.workload],
        policy=case.policy.model_dump(mode="json"),
        rename=model.rename,
        timing=case.timing.model_dump(),
        folder=str(folder),
        mode=case.mode,
        max_steps=case.max_steps,
        pad_side=case.pad_side,
        lengths=prepared.lengths.get((case.variant, case.workload)),
        contract=model.contract,
        contract_options=model.contract_options,
        rename_inputs=model.rename_inputs,
        generate=case.generate.model_dump(),
        seed=suite.seed,
    )
    return check_named(case.check).completed(job, suite, prepared, case)


def _run_alone(
    suite: Suite,
    folder: Path,
    store: Store,
    prepared: Prepared,
    outcome: Outcome,
    waivers: Sequence[Waiver],
    dump: Path | None,
) -> None:
    """A case that is not timed: receipts, figures, and everything else that its worker tells."""
    started = time.perf_counter()
    case = outcome.case
    try:
        job = job_of(suite, folder, store, prepared, case)
        job = replace(
            job,
            premises=sorted({waiver.premise for waiver in waivers if waiver.covers(case.name)}),
            dump=str(dump / case.name.replace("/", "_")) if dump else None,
        )
        with Worker(job, python=case.choice.python, timeout_s=case.timeout_s) as worker:
            for event in worker.events():
                if isinstance(event, Opened):
                    outcome.opened = event.facts()
                elif isinstance(event, ReceiptGiven):
                    outcome.receipts.append(event.receipt)
                elif isinstance(event, Measured):
                    outcome.figures.append(event)
                else:
                    outcome.told.setdefault(name_of(event), []).append(event.facts())
    except WorkerFailed as failure:
        outcome.fail(failure)
    if outcome.status != "ok":
        outcome.figures.clear()
        outcome.receipts.clear()  # a comparison that did not finish proves nothing
        outcome.told.clear()
    outcome.told.setdefault("finding", []).extend(in_force_findings(outcome))
    outcome.say_what_opened()
    outcome.duration_s = time.perf_counter() - started
