"""From what workers say to rows: one function for each kind of row."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from datetime import datetime
from typing import Any

from assay.runner.backends import ENGINES
from assay.runner.permission import flags
from assay.runner.rules.policy import Judgement, Policy
from assay.runner.run.checks import check_named
from assay.runner.run.figures import figures_of
from assay.runner.run.in_force import comparability_of, threads_of
from assay.runner.run.outcome import Context, Facts, Outcome
from assay.schema import rows
from assay.schema.documents import strict
from assay.schema.metrics import METRICS
from assay.schema.store.spool import new_id, now


def artifact_row(
    event: Facts, *, model: str, version: str, variant: str, format_: str, recipe: str, weights_from: str | None = None
) -> rows.Artifact:
    identity = hashlib.sha256(f"{event['sha256']}/{model}/{version}/{variant}/{format_}".encode()).hexdigest()[:32]
    return rows.Artifact(
        artifact_id=identity, sha256=event["sha256"], model=model, model_version=version, variant=variant, format=format_,
        bytes=event["bytes"], parameters=event["parameters"], bits_per_weight=event["bits_per_weight"],
        opset=event.get("opset"), recipe=recipe, recipe_sha256=event.get("recipe_sha256", ""), build_s=event.get("build_s"),
        weights=weights_from, calibration=event.get("calibration"), calibration_sha256=event.get("calibration_sha256"),
        made_from=(event.get("settings") or {}).get("made_from"),
        settings=strict(event["settings"], sort_keys=True) if event.get("settings") else None,
        nodes=event.get("nodes"), nodes_changed=event.get("nodes_changed"),
    )  # fmt: skip


def case_rows(outcome: Outcome, context: Context) -> list[rows.Row]:
    """Every row of a finished case: its bundle."""
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
        for step, ms in check_named(outcome.case.check).steps(outcome)
    ]
    made += [METRICS[name].row for name in dict.fromkeys(m.metric for m in measured)]
    made += _verdict_rows(outcome, context.run_id)
    return made


def _case_result(outcome: Outcome, context: Context) -> rows.CaseResult:
    case, opened = outcome.case, outcome.opened
    device = opened.get("device", case.choice.runs_on)
    check = check_named(case.check)
    facts = opened.get("in_force")
    return rows.CaseResult(
        case_id=outcome.case_id, run_id=context.run_id, case_key=case.key, name=case.name, model=case.model,
        model_version=outcome.version, variant=case.variant, backend=case.backend, device=device,
        provider=case.choice.provider, workload=case.workload, check_kind=case.check, mode=check.mode_words(outcome),
        reference=f"golden:{case.golden}" if case.golden else case.reference, status=outcome.status,
        error_type=outcome.error_type, error_message=outcome.error_message, started_at=outcome.started_at,
        duration_s=outcome.duration_s, placement=opened.get("placement"), precision=opened.get("precision"),
        workload_sha256=outcome.prepared.get("inputs_sha256"),
        artifact_id=outcome.artifact.artifact_id if outcome.artifact else None,
        environment_id=context.environment.environment_id,
        comparability=comparability_of(outcome, context.environment.hardware_class), threads=threads_of(outcome),
        in_force=strict(facts, sort_keys=True) if facts else None,
        reproduce=context.reproduce or f"assay run {context.suite_argument} --only '{case.name}'"
        + (f" --version {case.model}={case.version}" if case.version not in ("artifact", "git") else "")
        + ("" if context.reproduce else flags()),
        group_id=outcome.group_id, batch=outcome.batch,
        model_sha256=outcome.model_sha256,
        precision_asked=case.precision_asked if case.choice.kind in ENGINES else None,
        input_shapes=", ".join(f"{name}{shape}".replace(" ", "") for name, shape in outcome.prepared.get("shapes", {}).items()) or None,
    )  # fmt: skip


_PARITY_COLUMNS = {f.name for f in fields(rows.Parity)}


def _parity_rows(outcome: Outcome, run_id: str) -> list[rows.Row]:
    hashes: dict[str, Any] = {
        "model_sha256": outcome.artifact.sha256 if outcome.artifact else None,
        "inputs_sha256": outcome.prepared.get("inputs_sha256"),
        "reference_sha256": outcome.prepared.get("reference_sha256"),
        "contract_sha256": outcome.contract_sha256,
    }
    made: list[rows.Row] = []
    for receipt in outcome.receipts:
        columns: dict[str, Any] = {name: value for name, value in receipt.items() if name in _PARITY_COLUMNS}
        made.append(
            rows.Parity(case_id=outcome.case_id, run_id=run_id, **{"mode": outcome.case.mode, **columns}, **hashes)
        )
    return made


_TOLD = {
    "step": rows.StreamStep,
    "invariant": rows.Invariant,
    "liveness": rows.Liveness,
    "noise": rows.Noise,
    "finding": rows.Finding,
    "drift": rows.Drift,
    "ledger": rows.LedgerEntry,
    "calibration_range": rows.CalibrationRange,
    "class_quality": rows.ClassQuality,
    "sensitivity": rows.Sensitivity,
}


def _told_rows(outcome: Outcome, run_id: str) -> list[rows.Row]:
    """What the worker told beside receipts, a row an event."""
    made: list[rows.Row] = []
    for kind, row_type in _TOLD.items():
        made += [row_type(case_id=outcome.case_id, run_id=run_id, **event) for event in outcome.told.get(kind, [])]
    return made


def measurement_rows(outcome: Outcome, run_id: str, hardware_class: str) -> list[rows.Measurement]:
    """Every figure of a timed case; empty for a case that was not timed to its end."""
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
            case_id=outcome.case_id,
            run_id=run_id,
            **{**unknown, **{name: value for name, value in layer.items() if name in _LAYER_COLUMNS}},
        )
        for layer in outcome.layers
    ]


def _verdict_rows(outcome: Outcome, run_id: str) -> list[rows.Row]:
    if not outcome.judgements:
        return []
    policy = outcome.case.policy
    made: list[rows.Row] = [policy_row(outcome.case.policy_name, policy)]
    made += [
        verdict_row(
            policy,
            judgement,
            case_id=outcome.case_id,
            run_id=run_id,
            subject=subject,
            name=name,
            judged_at=now(),
            waiver_id=outcome.waived_by.get(name) if subject == "parity" else None,
        )
        for subject, name, judgement in outcome.judgements
    ]
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
