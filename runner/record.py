"""From what workers say to rows: one function for each kind of row."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from typing import Any, Protocol

from runner.backends import ENGINES
from runner.case import Case
from runner.isolate import WorkerFailed
from runner.metrics import METRICS
from runner.parity.policy import Judgement, Policy
from runner.recipes import MODULE_RECIPES
from runner.timing import statistics
from runner.timing.gpu import Sample
from schema import rows
from schema.spool import new_id, now

Event = dict[str, Any]


@dataclass(slots=True)
class Outcome:
    """Everything known of one case when it is over."""

    case: Case
    version: str
    started_at: datetime
    case_id: str = field(default_factory=new_id)
    duration_s: float = 0.0
    status: str = "ok"
    error_type: str | None = None
    error_message: str | None = None
    opened: Event = field(default_factory=dict)
    """What really ran."""
    prepared: Event = field(default_factory=dict)
    """The workload's hashes."""
    artifact: rows.Artifact | None = None
    receipts: list[Event] = field(default_factory=list)
    told: dict[str, list[Event]] = field(default_factory=dict)
    """Kind of event (`step`, `invariant`, `liveness`, `noise`, `finding`, `drift`) -> events."""
    reference_told: dict[str, list[Event]] = field(default_factory=dict)
    """The same, of the reference when it was prepared."""
    contract_sha256: str | None = None
    waived_by: dict[str, str] = field(default_factory=dict)
    """Output -> waiver that covers its failure, or would have."""
    ready: Event = field(default_factory=dict)
    launched: list[Event] = field(default_factory=list)
    """What every launch told when it was opened and ready."""
    blocks: list[list[list[float]]] = field(default_factory=list)
    """Milliseconds: [launches, blocks, calls]; of a generation [launches, generations, prompt and tokens]."""
    phases: dict[str, list[list[list[float]]]] = field(default_factory=dict)
    """`enqueue`, `h2d`, `compute`, `d2h` -> milliseconds in the same order, where a device's events tell them apart."""
    gpu: list[Sample] = field(default_factory=list)
    """What the GPU did while its blocks were timed."""
    gpu_own: set[int] = field(default_factory=set)
    """Processes of the measurement itself."""
    ratio: statistics.Ratio | None = None
    compared_with: str | None = None
    """`variant/backend` (and mode of a generation) that the ratio is over."""
    memory: list[Event] = field(default_factory=list)
    """What every launch, or the profiled process, told of its memory."""
    items: int | None = None
    """Items in one call, where the workload says so."""
    group_id: str | None = None
    """Shared by the cases that were timed in the same turns."""
    layers: list[Event] = field(default_factory=list)
    inspected: str | None = None
    """Of an engine, what its inspector wrote."""
    figures: list[Event] = field(default_factory=list)
    """Metrics that the worker told as they are: value, interval, n, provenance."""
    judgements: list[tuple[str, str, Judgement]] = field(default_factory=list)
    """(subject, name, judgement)."""

    @property
    def batch(self) -> int | None:
        """Items in one call: the workload's `items`, else the first axis of its first input; None of a scalar."""
        shapes = [shape for shape in self.prepared.get("shapes", {}).values() if shape]
        return self.items or (shapes[0][0] if shapes else None)

    @property
    def state_outputs(self) -> list[tuple[str, str]]:
        """(input, output) of every state that the case's contract names."""
        return [(state["input"], state["output"]) for state in self.prepared.get("states", [])]

    def fail(self, failure: WorkerFailed) -> None:
        self.status, self.error_type, self.error_message = failure.status, failure.kind, failure.message

    def begin_launch(self) -> None:
        """Blocks from here on are of another process."""
        for blocks in (self.blocks, *self.phases.values()):
            blocks.append([])

    def say_what_opened(self) -> None:
        """Take the size of what ran from the process that ran it, where a recipe changed the module after it was loaded."""
        if self.artifact is None or self.case.recipe.recipe not in MODULE_RECIPES or not self.opened.get("parameters"):
            return
        size, weights = int(self.opened["parameter_bytes"]), int(self.opened["parameters"])
        text = f"{self.artifact.sha256}/{self.case.recipe.recipe}/{sorted(self.case.recipe.options.items())}"
        digest = hashlib.sha256(text.encode()).hexdigest()
        self.artifact = replace(
            self.artifact, artifact_id=digest[:32], sha256=digest, bytes=size, parameters=weights, bits_per_weight=8 * size / weights
        )  # fmt: skip


class Progress(Protocol):
    """Who is told how far a run is: `runner.report` has one for terminals and one for logs."""

    def starting(self, what: str) -> None: ...

    def finished(self, outcome: Outcome) -> None: ...


@dataclass(frozen=True, slots=True)
class Context:
    """What all cases of a run share."""

    run_id: str
    environment: rows.Environment
    suite_argument: str
    reproduce: str | None = None
    """The command that made the run, where that is not `assay run`."""


MAIN_MODES = ("functional", "closed_loop", "mixed")


def is_main(receipt: Event) -> bool:
    """Whether a receipt is the case's own comparison, and not a probe's."""
    mode: str = receipt.get("mode", MAIN_MODES[0])
    return mode.startswith(MAIN_MODES)


def artifact_row(
    event: Event, *, model: str, version: str, variant: str, format_: str, recipe: str, weights_from: str | None = None
) -> rows.Artifact:
    identity = hashlib.sha256(f"{event['sha256']}/{model}/{version}/{variant}/{format_}".encode()).hexdigest()[:32]
    return rows.Artifact(
        artifact_id=identity, sha256=event["sha256"], model=model, model_version=version, variant=variant, format=format_,
        bytes=event["bytes"], parameters=event["parameters"], bits_per_weight=event["bits_per_weight"],
        opset=event.get("opset"), recipe=recipe, recipe_sha256=event.get("recipe_sha256", ""), build_s=event.get("build_s"),
        weights=weights_from, calibration=event.get("calibration"), calibration_sha256=event.get("calibration_sha256"),
        made_from=(event.get("settings") or {}).get("made_from"),
        settings=json.dumps(event["settings"], sort_keys=True) if event.get("settings") else None,
    )  # fmt: skip


def case_rows(outcome: Outcome, context: Context) -> list[rows.Row]:
    """Every row of a finished case: its bundle."""
    from runner.measured import steps_of

    environment = context.environment
    made: list[rows.Row] = [environment]
    if outcome.artifact:
        made.append(outcome.artifact)
    made.append(_case_result(outcome, context))
    made += _parity_rows(outcome, context.run_id)
    made += _told_rows(outcome, context.run_id)
    measured = measurement_rows(outcome, context.run_id, environment.hardware_class)
    made += measured
    made += _layer_rows(outcome, context.run_id)
    made += [
        rows.StreamStep(case_id=outcome.case_id, run_id=context.run_id, step=step, latency_ms=ms, resynced=False)
        for step, ms in steps_of(outcome)
    ]
    made += [METRICS[name] for name in dict.fromkeys(m.metric for m in measured)]
    made += _verdict_rows(outcome, context.run_id)
    return made


def _case_result(outcome: Outcome, context: Context) -> rows.CaseResult:
    case, opened = outcome.case, outcome.opened
    device = opened.get("device", case.choice.device)
    mode = case.check if case.check in ("quality", "ledger", "sensitivity") else case.mode
    if case.is_timed:
        mode = "profiled" if case.check == "profile" else "interleaved" if outcome.group_id else "alone"
        mode += f", {case.mode}" if case.check == "generation" or case.mode != "functional" else ""
    threads = case.choice.threads
    comparability = "; ".join(
        (
            f"model={case.model}",
            f"workload={case.workload}:{outcome.prepared.get('inputs_sha256', '')[:12]}",
            f"mode={_asked(case) if case.is_timed else mode}",
            f"hardware={context.environment.hardware_class}",
            f"device={device}",
            f"threads={threads or 'default'}",
        )
    )
    return rows.CaseResult(
        case_id=outcome.case_id, run_id=context.run_id, case_key=case.key, name=case.name, model=case.model,
        model_version=outcome.version, variant=case.variant, backend=case.backend, device=device,
        provider=case.choice.provider, workload=case.workload, check_kind=case.check, mode=mode,
        reference=f"golden:{case.golden}" if case.golden else case.reference, status=outcome.status,
        error_type=outcome.error_type, error_message=outcome.error_message, started_at=outcome.started_at,
        duration_s=outcome.duration_s, placement=opened.get("placement"), precision=opened.get("precision"),
        workload_sha256=outcome.prepared.get("inputs_sha256"),
        artifact_id=outcome.artifact.artifact_id if outcome.artifact else None,
        environment_id=context.environment.environment_id, comparability=comparability, threads=threads,
        reproduce=context.reproduce or f"assay run {context.suite_argument} --only '{case.name}'"
        + (f" --version {case.model}={case.version}" if case.version not in ("artifact", "git") else ""),
        group_id=outcome.group_id, batch=outcome.batch,
        precision_asked=case.precision_asked if case.choice.kind in ENGINES else None,
        input_shapes=", ".join(f"{name}{shape}".replace(" ", "") for name, shape in outcome.prepared.get("shapes", {}).items()) or None,
    )  # fmt: skip


def _asked(case: Case) -> str:
    if case.check == "benchmark" and case.mode != "functional":
        return f"benchmark by {case.mode}"
    return f"generation of {case.generate.tokens} tokens" if case.check == "generation" else case.check


_PARITY_COLUMNS = {f.name for f in fields(rows.Parity)}


def _parity_rows(outcome: Outcome, run_id: str) -> list[rows.Row]:
    hashes: dict[str, Any] = {
        "model_sha256": outcome.artifact.sha256 if outcome.artifact else None,
        "inputs_sha256": outcome.prepared.get("inputs_sha256"),
        "reference_sha256": outcome.prepared.get("reference_sha256"), "contract_sha256": outcome.contract_sha256,
    }  # fmt: skip
    made: list[rows.Row] = []
    for receipt in outcome.receipts:
        columns: dict[str, Any] = {name: value for name, value in receipt.items() if name in _PARITY_COLUMNS}
        made.append(
            rows.Parity(case_id=outcome.case_id, run_id=run_id, **{"mode": outcome.case.mode, **columns}, **hashes)
        )
    return made


_TOLD = {"step": rows.StreamStep, "invariant": rows.Invariant, "liveness": rows.Liveness, "noise": rows.Noise,
         "finding": rows.Finding, "drift": rows.Drift, "ledger": rows.LedgerEntry, "calibration_range": rows.CalibrationRange,
         "class_quality": rows.ClassQuality, "sensitivity": rows.Sensitivity}  # fmt: skip


def _told_rows(outcome: Outcome, run_id: str) -> list[rows.Row]:
    """What the worker told beside receipts, a row an event."""
    made: list[rows.Row] = []
    for kind, row_type in _TOLD.items():
        made += [row_type(case_id=outcome.case_id, run_id=run_id, **event) for event in outcome.told.get(kind, [])]
    return made


def measurement_rows(outcome: Outcome, run_id: str, hardware_class: str) -> list[rows.Measurement]:
    """Every figure of a timed case; empty for a case that was not timed to its end."""
    from runner.measured import figures_of

    return [
        rows.Measurement(
            case_id=outcome.case_id, run_id=run_id,
            series_id=hashlib.sha256(f"{outcome.case.key}/{figure.metric}/{hardware_class}".encode()).hexdigest()[:32],
            metric=figure.metric, value=figure.estimate.value, low=figure.estimate.low, high=figure.estimate.high, n=figure.estimate.n,
            samples=None if figure.samples is None else [float(s) for s in figure.samples.reshape(-1)],
            block_length=None if figure.samples is None else figure.samples.shape[2],
            launches=None if figure.samples is None else figure.samples.shape[0], provenance=figure.provenance,
        )
        for figure in figures_of(outcome)
    ]  # fmt: skip


_LAYER_COLUMNS = {f.name for f in fields(rows.Layer)}


def _layer_rows(outcome: Outcome, run_id: str) -> list[rows.Row]:
    if outcome.status != "ok":
        return []
    unknown = {"reference_name": None, "reference_us": None, "provenance": "measured"}
    return [
        rows.Layer(
            case_id=outcome.case_id, run_id=run_id,
            **{**unknown, **{name: value for name, value in layer.items() if name in _LAYER_COLUMNS}},
        )
        for layer in outcome.layers
    ]  # fmt: skip


def _verdict_rows(outcome: Outcome, run_id: str) -> list[rows.Row]:
    if not outcome.judgements:
        return []
    policy = outcome.case.policy
    made: list[rows.Row] = [policy_row(outcome.case.policy_name, policy)]
    made += [
        verdict_row(
            policy, judgement, case_id=outcome.case_id, run_id=run_id, subject=subject, name=name, judged_at=now(),
            waiver_id=outcome.waived_by.get(name) if subject == "parity" else None,
        )
        for subject, name, judgement in outcome.judgements
    ]  # fmt: skip
    return made


def verdict_row(
    policy: Policy, judgement: Judgement, *, case_id: str, run_id: str, subject: str, name: str, judged_at: datetime, waiver_id: str | None
) -> rows.Verdict:  # fmt: skip
    """A judgement as it is recorded, with the policy that it was made by."""
    return rows.Verdict(
        verdict_id=new_id(), case_id=case_id, run_id=run_id, subject=subject, name=name, policy_id=policy.identity(),
        outcome=judgement.outcome, grade=judgement.grade, rule=judgement.rule, observed=judgement.observed,
        limit_value=judgement.limit, margin=judgement.margin, reason=judgement.reason, judged_at=judged_at, waiver_id=waiver_id,
    )  # fmt: skip


def policy_row(name: str, policy: Policy) -> rows.Policy:
    return rows.Policy(policy_id=policy.identity(), name=name, definition=policy.definition())


def summary(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """Cases by status and verdicts by outcome."""
    counts: dict[str, int] = {}
    for outcome in outcomes:
        counts[outcome.status] = counts.get(outcome.status, 0) + 1
        for _, _, judgement in outcome.judgements:
            counts[f"verdict {judgement.outcome}"] = counts.get(f"verdict {judgement.outcome}", 0) + 1
    return counts


def as_document(outcome: Outcome) -> dict[str, Any]:
    """One case for `--json`."""
    return {
        "case": outcome.case.name, "version": outcome.version, "status": outcome.status,
        "error": outcome.error_message, "duration_s": outcome.duration_s, "placement": outcome.opened.get("placement"),
        "precision": outcome.opened.get("precision"),
        "verdicts": [
            {"subject": subject, "name": name, **asdict(judgement), "margin": judgement.margin}
            for subject, name, judgement in outcome.judgements
        ],
        "receipts": [receipt for receipt in outcome.receipts if receipt["step"] < 0],
        "findings": outcome.told.get("finding", []), "invariants": outcome.told.get("invariant", []),
        "drift": outcome.told.get("drift", []),
        "measurements": [
            {"metric": m.metric, "value": m.value, "low": m.low, "high": m.high, "n": m.n, "unit": METRICS[m.metric].unit}
            for m in measurement_rows(outcome, "", "")
        ],
    }  # fmt: skip
