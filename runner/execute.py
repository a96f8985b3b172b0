"""A run, from a suite to rows. Read `run_suite` first: it is the whole story."""

from __future__ import annotations

import hashlib
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Protocol

import numpy as np

import schema.queries
from runner import environment
from runner.errors import ExitCode, NothingMeasured, UsageError, nearest
from runner.isolate import Worker, WorkerFailed
from runner.parity import golden as goldens
from runner.record import Context, Event, Outcome, artifact_row, case_rows, judge
from runner.suite import Case, Suite, expand, pytorch_kind
from runner.timing import statistics
from schema import ingest, rows
from schema.spool import new_id, now, write_bundle
from schema.store import Store, reading, snapshot

_BUILD_TIMEOUT_S = 1800.0
_VERSION = "0.1.0"


class Progress(Protocol):
    """Who is told how far a run is: `runner.report` has one for terminals and one for logs."""

    def starting(self, what: str) -> None: ...

    def finished(self, outcome: Outcome) -> None: ...


@dataclass(frozen=True, slots=True)
class Options:
    suite_argument: str
    versions: dict[str, str] = field(default_factory=dict)
    only: str | None = None
    resume: bool = False
    trigger: str = "manual"
    wait_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Finished:
    run_id: str
    outcomes: list[Outcome]
    exit_code: ExitCode


def run_suite(suite: Suite, folder: Path, store: Store, options: Options, progress: Progress) -> Finished:
    """Run every case of a suite, each in its own process, and record each as it ends.

    Raises:
        NothingMeasured: `only` matches no case, or there is nothing to resume.
        StoreError: a row could not be written; what was written before is intact.
    """
    cases = _chosen(expand(suite, options.versions), options.only)
    run_id, done = _begin(suite, folder, store, options, len(cases))
    context = Context(run_id, environment.capture(), options.suite_argument)
    if not done:
        write_bundle(store, run_id, [_run_row(suite, folder, context, options, len(cases)), context.environment])
    outcomes = []
    for prepared, group in _prepare_models(suite, folder, store, [c for c in cases if c.name not in done], progress):
        for outcome in _run_group(suite, folder, store, prepared, group, progress):
            judge(outcome)
            write_bundle(store, run_id, case_rows(outcome, _seen_from(context, outcome)))
            outcomes.append(outcome)
            progress.finished(outcome)
    exit_code = verdict_of_run(outcomes)
    write_bundle(store, run_id, [rows.RunEnd(run_id=run_id, ended_at=now(), exit_code=int(exit_code))])
    ingest.sync(store, options.wait_s)
    return Finished(run_id, outcomes, exit_code)


def verdict_of_run(outcomes: list[Outcome]) -> ExitCode:
    """The exit code: a failure first, then a missing backend, then a case that compared nothing."""
    broken = [o for o in outcomes if o.status in ("failed", "crashed", "timeout")]
    missing = [o for o in broken if o.error_type == "EnvironmentMissing"]
    failed = any(j.outcome == "fail" for o in outcomes for _, _, j in o.judgements)
    if failed or len(missing) < len(broken):
        return ExitCode.FAILED
    if missing:
        return ExitCode.ENVIRONMENT
    if not outcomes or any(o.status == "vacuous" for o in outcomes):
        return ExitCode.NOTHING
    return ExitCode.OK


def _chosen(cases: list[Case], only: str | None) -> list[Case]:
    if only is None:
        return cases
    chosen = [case for case in cases if fnmatch(case.name, only) or only in case.name]
    if not chosen:
        raise NothingMeasured(f"no case matches {only!r}.{nearest(only, [case.name for case in cases])}")
    return chosen


def _begin(suite: Suite, folder: Path, store: Store, options: Options, planned: int) -> tuple[str, set[str]]:
    """A new run, or the unfinished one with the names of its recorded cases."""
    if not options.resume:
        return new_id(), set()
    ingest.sync(store, options.wait_s)
    published = snapshot(store)
    if published is not None:
        with reading(published) as connection:
            found = schema.queries.unfinished_run(connection, suite.name, suite.sha256())
            if found is not None:
                return found, schema.queries.recorded_cases(connection, found)
    raise NothingMeasured(f"no unfinished run of suite {suite.name!r} as it is now: start one without --resume.")


def _run_row(suite: Suite, folder: Path, context: Context, options: Options, planned: int) -> rows.Run:
    commit, branch, dirty = environment.git_state(folder)
    return rows.Run(
        run_id=context.run_id, suite=suite.name, suite_sha256=suite.sha256(), trigger=options.trigger, started_at=now(),
        host=socket.gethostname(), environment_id=context.environment.environment_id, git_commit=commit,
        git_branch=branch, git_dirty=dirty, seed=suite.seed, tool_version=_VERSION,
        command=environment.command_line(), cases_planned=planned,
    )  # fmt: skip


def _seen_from(context: Context, outcome: Outcome) -> Context:
    """With another interpreter, the libraries are that one's."""
    if outcome.case.choice.python is None or not outcome.opened:
        return context
    return replace(context, environment=environment.with_versions(context.environment, outcome.opened["versions"]))


# Preparing: the reference is loaded once for each model, in a process of its own.


@dataclass(slots=True)
class Prepared:
    """What the cases of one model and reference share."""

    version: str
    model: Event = field(default_factory=dict)
    workloads: dict[str, Event] = field(default_factory=dict)
    golden_names: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, Event] = field(default_factory=dict)
    failures: dict[str, WorkerFailed] = field(default_factory=dict)
    """Variant -> why it could not be made; "" stands for all of them."""


def _prepare_models(
    suite: Suite, folder: Path, store: Store, cases: list[Case], progress: Progress
) -> Iterator[tuple[Prepared, list[Case]]]:
    """Groups of cases with one model and one right side, each when its model is ready."""
    groups: dict[tuple[str, str | None], list[Case]] = {}
    for case in cases:
        groups.setdefault((case.model, case.reference), []).append(case)
    for (model, _), group in groups.items():
        progress.starting(f"{model}: reference and artifacts")
        yield _prepare(suite, folder, store, group), group


def _prepare(suite: Suite, folder: Path, store: Store, group: list[Case]) -> Prepared:
    first = group[0]
    version = _named_version(first, folder)
    prepared = Prepared(version)
    reference = first.reference or ("pytorch" if first.files.pytorch else "onnxruntime" if first.files.onnx else "fake")
    choice = suite.backend_named(reference)
    names = {case.workload: f"references/{_reference_key(suite, case, reference)}" for case in group}
    variants = {
        case.variant: {"name": case.variant, "recipe": case.recipe.recipe, "options": case.recipe.options}
        for case in group
        if case.files.fake is None and case.choice.kind != "pytorch"
    }
    job = {
        "op": "prepare", "folder": folder, "seed": suite.seed, "model": first.model, "version": version,
        "reference": reference, "backend": choice.kind, "source": _source(suite, first, choice.kind, folder),
        "options": _backend_options(choice), "onnx": first.files.onnx, "onnx_options": first.files.onnx_options,
        "export": suite.model[first.model].export,
        "variants": sorted(variants.values(), key=lambda v: v["recipe"] not in ("given", "export")),
        "workloads": {name: suite.workload[name].model_dump(mode="json", exclude_none=True) for name in names},
        "goldens": store.goldens, "golden_names": names, "artifacts": store.artifacts,
    }  # fmt: skip
    prepared.golden_names = names
    try:
        with Worker(job, python=choice.python, timeout_s=_BUILD_TIMEOUT_S) as worker:
            for event in worker.events():
                _take(prepared, event)
    except WorkerFailed as failure:
        prepared.failures[""] = failure
    return prepared


def _take(prepared: Prepared, event: Event) -> None:
    match event["event"]:
        case "model":
            prepared.model, prepared.version = event, event["version"]
        case "recorded":
            prepared.workloads[event["workload"]] = event
        case "artifact":
            prepared.artifacts[event["variant"]] = event
        case "failed":
            prepared.failures[event["variant"]] = WorkerFailed("failed", event["type"], event["message"])


def _named_version(case: Case, folder: Path) -> str:
    if case.version != "git":
        return case.version
    commit, _, dirty = environment.git_state(folder)
    if commit is None:
        raise UsageError(f"model {case.model!r} has version = \"git\", and {folder} is not in a git repository.")
    return commit[:12] + ("-dirty" if dirty else "")


def _reference_key(suite: Suite, case: Case, reference: str) -> str:
    text = f"{suite.sha256()}/{case.model}/{case.version}/{reference}/{case.workload}"
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _source(suite: Suite, case: Case, kind: str, folder: Path) -> Event:
    files, outputs = case.files, suite.model[case.model].outputs
    base: Event = {"folder": str(folder), "options": files.options, "outputs": outputs}
    if kind == "fake":
        return {**base, "kind": "fake", "location": "", "options": files.fake or {}}
    if kind == "pytorch" and files.pytorch:
        file_kind = pytorch_kind(files.pytorch)
        location = files.pytorch if file_kind == "factory" else str(folder / files.pytorch)
        return {**base, "kind": file_kind, "location": location}
    return {**base, "kind": "onnx", "location": ""}


def _backend_options(choice: Any) -> dict[str, Any]:
    options = dict(choice.options)
    if choice.threads is not None:
        options["threads"] = choice.threads
    if choice.kind == "onnxruntime":
        if choice.provider is not None:
            options["provider"] = choice.provider
        options["allow_fallback"] = choice.allow_fallback
    if choice.kind == "pytorch":
        options["device"] = choice.device
    return options


# Running: parity one case after the other, benchmarks in turns.


def _run_group(
    suite: Suite, folder: Path, store: Store, prepared: Prepared, group: list[Case], progress: Progress
) -> Iterator[Outcome]:
    benchmarks: dict[tuple[int, str], list[Outcome]] = {}
    for case in group:
        outcome = _outcome(case, prepared)
        failure = prepared.failures.get("") or prepared.failures.get(case.variant)
        if failure and not (case.choice.kind == "pytorch" and "" not in prepared.failures):
            _fail(outcome, failure)
            yield outcome
        elif case.check == "benchmark":
            benchmarks.setdefault((case.group, case.workload), []).append(outcome)
        else:
            progress.starting(case.name)
            _run_parity(suite, folder, store, prepared, outcome)
            yield outcome
    for outcomes in benchmarks.values():
        progress.starting(f"{outcomes[0].case.model}: {len(outcomes)} cases timed in turns")
        _run_benchmarks(suite, folder, store, prepared, outcomes)
        yield from outcomes


def _outcome(case: Case, prepared: Prepared) -> Outcome:
    outcome = Outcome(case, prepared.version, now(), prepared=prepared.workloads.get(case.workload, {}))
    if case.choice.kind == "pytorch" and prepared.model.get("parameters") is not None:
        weights, size = prepared.model["parameters"], prepared.model["parameter_bytes"]
        event = {"sha256": prepared.model["sha256"], "bytes": size, "parameters": weights, "bits_per_weight": 8 * size / weights if weights else None}
        outcome.artifact = artifact_row(event, model=case.model, version=prepared.version, variant=case.variant, format_="python", recipe="source")
    elif case.variant in prepared.artifacts:
        event = prepared.artifacts[case.variant]
        outcome.artifact = artifact_row(event, model=case.model, version=prepared.version, variant=case.variant, format_="onnx", recipe=case.recipe.recipe)
    return outcome


def _fail(outcome: Outcome, failure: WorkerFailed) -> None:
    outcome.status, outcome.error_type, outcome.error_message = failure.status, failure.kind, failure.message


def _job(suite: Suite, folder: Path, store: Store, prepared: Prepared, case: Case, op: str) -> Event:
    source = _source(suite, case, case.choice.kind, folder)
    if source["kind"] == "onnx":
        source["location"] = prepared.artifacts[case.variant]["path"]
    return {
        "op": op, "backend": case.choice.kind, "source": source, "options": _backend_options(case.choice),
        "goldens": store.goldens, "golden": case.golden or prepared.golden_names[case.workload],
        "policy": case.policy.model_dump(mode="json"), "rename": suite.model[case.model].rename,
        "timing": case.timing.model_dump(),
    }  # fmt: skip


def _run_parity(suite: Suite, folder: Path, store: Store, prepared: Prepared, outcome: Outcome) -> None:
    started = time.perf_counter()
    case = outcome.case
    try:
        if case.golden:
            recorded = goldens.read(store.goldens, case.golden)
            outcome.prepared = {"inputs_sha256": recorded.sha256("inputs"), "reference_sha256": recorded.sha256("outputs")}
        job = _job(suite, folder, store, prepared, case, "parity")
        with Worker(job, python=case.choice.python, timeout_s=case.timeout_s) as worker:
            for event in worker.events():
                if event["event"] == "opened":
                    outcome.opened = event
                elif event["event"] == "receipt":
                    outcome.receipts.append(event)
    except WorkerFailed as failure:
        _fail(outcome, failure)
    except UsageError as error:
        _fail(outcome, WorkerFailed("failed", "UsageError", str(error)))
    if outcome.status != "ok":
        outcome.receipts.clear()  # a comparison that did not finish proves nothing
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


def record_golden(
    suite: Suite, folder: Path, store: Store, model: str, version: str | None, workload: str, name: str
) -> goldens.Golden:
    """Run the reference of a model on a workload once, and keep it under a name.

    Raises:
        UsageError: the suite has no such model or workload together, or the reference failed.
    """
    cases = [c for c in expand(suite, {model: version} if version else None) if c.model == model and c.workload == workload]
    if not cases:
        pairs = {f"{c.model} with {c.workload}" for c in expand(suite)}
        raise UsageError(f"suite {suite.name!r} has no case of {model!r} with {workload!r}.{nearest(f'{model} with {workload}', pairs)}")
    if not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise UsageError(f"a golden's name is letters, digits, '.', '_' and '-', not {name!r}.")
    prepared = _prepare(suite, folder, store, cases[:1])
    if failure := prepared.failures.get(""):
        raise UsageError(f"the reference of {model!r} failed: {failure.message}")
    recorded = goldens.read(store.goldens, prepared.golden_names[workload])
    steps = ((recorded.inputs(i), recorded.outputs(i)) for i in range(len(recorded.steps)))
    return goldens.write(store.goldens, name, {**recorded.facts, "suite": suite.name, "recorded_at": now().isoformat()}, steps)
