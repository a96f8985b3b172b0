"""Verdicts of a case: policies over receipts, what the probes found, and the waivers that cover a failure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from assay.runner.rules.coverage import kinds_of
from assay.runner.rules.policy import Judgement, judge_measurement, judge_output
from assay.runner.rules.waiver import Waiver
from assay.runner.run.checks import check_named
from assay.runner.run.evidence import nothing_proved
from assay.runner.run.outcome import Outcome, is_main
from assay.runner.run.rows import measurement_rows
from assay.runner.run.same_version import SAME_VERSION, findings_of
from assay.schema.store.spool import now


def judge(outcome: Outcome, waivers: Sequence[Waiver] = ()) -> None:
    """Fill in a case's verdicts, findings and trends, and the status that follows from them."""
    check_named(outcome.case.check).judge(outcome, waivers)
    measured = {m.metric: m for m in measurement_rows(outcome, "", "")}
    for limit in outcome.case.policy.limits:
        if (m := measured.get(limit.metric)) is not None:
            outcome.judgements.append(("measurement", limit.metric, judge_measurement(limit, m.value, m.low, m.high)))
    _judge_model(outcome)
    outcomes = {judgement.outcome for _, _, judgement in outcome.judgements}
    if outcome.status == "ok" and "vacuous" in outcomes and "fail" not in outcomes:
        outcome.status = "vacuous"
    if outcome.case.expect:
        outcome.judgements.append(("expectation", outcome.case.expect, _as_expected(outcome)))


def _judge_model(outcome: Outcome) -> None:
    """Whatever is checked: a case of a model that the books do not hold under its version's name fails."""
    told = outcome.told.setdefault("finding", [])
    for finding in findings_of(outcome.reference_told):
        if finding not in told:
            told.append(finding)
        if not any(subject == SAME_VERSION for subject, _, _ in outcome.judgements):
            judgement = Judgement("fail", finding["message"], finding["kind"])
            outcome.judgements.append((SAME_VERSION, finding["subject"], judgement))


def _as_expected(outcome: Outcome) -> Judgement:
    """Whether a known-bad case was caught, and for the right reason."""
    case = outcome.case
    caught = [(s, n, j) for s, n, j in outcome.judgements if j.outcome == case.expect and s != SAME_VERSION]
    rule = f"{case.expect}" + (f" by {case.expect_finding}" if case.expect_finding else "")
    refused = outcome.error_message or ""
    if outcome.status == "failed" and case.expect == "fail" and case.expect_finding and case.expect_finding in refused:
        return Judgement("pass", f"caught before it ran: {refused}", rule)
    if outcome.status not in ("ok", "vacuous") or not caught:
        return Judgement(
            "fail", f"this case is known to be bad ({rule}), and it was not caught: {outcome.status}", rule
        )
    words = [*(f"{s} {n} {j.reason}" for s, n, j in caught), *(f["kind"] for f in outcome.told.get("finding", []))]
    if case.expect_finding and not any(case.expect_finding in word for word in words):
        return Judgement("fail", f"it was caught, but not by {case.expect_finding!r}: {caught[0][2].reason}", rule)
    return Judgement("pass", f"caught: {caught[0][2].reason}", rule)


def judge_outputs(outcome: Outcome) -> None:
    """Verdicts of outputs against the right side; a pass that proves nothing is vacuous."""
    merged = [r for r in outcome.receipts if r["step"] < 0 and is_main(r)]
    dead = {f["subject"] for f in outcome.told["finding"] if f["kind"] == "dead_state"}
    for receipt in merged:
        name = receipt["output"]
        tolerance = outcome.case.policy.for_output(name, receipt["expected_dtype"])
        if tolerance.ignore:
            continue
        steps = [r for r in outcome.receipts if r["output"] == name and r["step"] >= 0 and is_main(r)]
        if _varied_elsewhere(outcome, name):
            tolerance = tolerance.model_copy(update={"constant_ok": True})
        judgement = judge_output(tolerance, receipt, steps)
        if judgement.outcome == "pass":
            judgement = _worth_less(outcome, name, len(steps), judgement) or judgement
        elif judgement.outcome == "fail" and name in dead:
            judgement = replace(
                judgement,
                reason=f"{judgement.reason}; it does not propagate: nothing that this state feeds reaches an output",
            )
        outcome.judgements.append(("parity", name, judgement))


def _varied_elsewhere(outcome: Outcome, name: str) -> bool:
    """Whether probes compared an output, and found it right, where it has more than one value."""
    return any(
        r["mode"] == "lengths"
        and r["output"] == name
        and r["expected_std"]
        and not r["violations"]
        and not r["problem"]
        for r in outcome.receipts
        if r["step"] < 0 and not is_main(r)
    )


def _worth_less(outcome: Outcome, name: str, steps: int, judgement: Judgement) -> Judgement | None:
    """Why a pass proves nothing, as a verdict."""
    case = outcome.case
    reason = None
    if case.is_reference:
        reason = "the candidate is the reference itself"
    elif case.mode != "functional" and steps < 2:
        reason = f"{steps} step was compared: nothing was fed back"
    elif (nothing := nothing_proved(outcome)) is not None:
        reason = nothing
    elif not case.policy.for_output(name).constant_ok:
        constant = next(
            (f for f in outcome.told["finding"] if f["kind"] == "constant_output" and f["subject"] == name), None
        )
        if constant or (name in outcome.prepared.get("constant", []) and not _is_moved(outcome, name)):
            reason = "the reference gives the same answer whatever the input: agreeing with it proves nothing"
    return Judgement("vacuous", reason, judgement.rule) if reason else None


def _is_moved(outcome: Outcome, name: str) -> bool:
    """Whether an input moves an output of the reference, or is one of which that is not known.

    The workload may hold still what the output depends on: that is a note, and no empty comparison.
    """
    reached = [event for event in outcome.told.get("liveness", []) if event["side"] == "reference"]
    untried = set(outcome.prepared.get("inputs", [])) - {event["input"] for event in reached}
    return bool(reached and untried) or any(event["output"] == name and event["moved"] for event in reached)


def judge_probes(outcome: Outcome) -> None:
    """Verdicts of comparisons with itself, and at other sizes, which say the sizes."""
    told = {(finding["kind"], finding["subject"]): finding["message"] for finding in outcome.told["finding"]}
    for receipt in outcome.receipts:
        if receipt["step"] >= 0 or is_main(receipt):
            continue
        mode, name = receipt["mode"], receipt["output"]
        if mode in ("simulated", "executed") or outcome.case.policy.for_output(name).ignore:
            continue  # the first are a finding, when they differ
        own = mode in ("lengths", "rounded")  # the others compare it with itself: nothing was approximated twice
        policy = outcome.case.policy if own else outcome.case.policy.with_itself()
        tolerance = policy.for_output(name, receipt["expected_dtype"]).model_copy(update={"constant_ok": True})
        steps = [r for r in outcome.receipts if r["output"] == name and r["step"] >= 0 and r.get("mode") == mode]
        if own and tolerance.acceptance:
            few = tolerance.acceptance.model_copy(update={"least_steps": None, "slope": None})
            tolerance = tolerance.model_copy(update={"acceptance": few})
        judgement = judge_output(tolerance, receipt, steps)
        if judgement.outcome == "vacuous":
            continue  # an output that is empty has nothing to repeat
        if mode == "lengths" and (where := told.get(("off_at_other_sizes", name), told.get(("other_sizes", "sizes")))):
            judgement = replace(judgement, reason=f"{judgement.reason}; {where}")
        outcome.judgements.append((mode, name, judgement))


def judge_findings(outcome: Outcome) -> None:
    """A finding that changes the verdict is one, and so is a note on what the case's `coverage` asks for.

    A broken invariant is a failure with its step.
    """
    seen = set()
    asked = kinds_of(outcome.case.coverage)
    for finding in outcome.told.get("finding", []):
        key = (finding["kind"], finding["subject"])
        if (finding["severity"] == "fail" or finding["kind"] in asked) and key not in seen:
            seen.add(key)
            rule = f"coverage: {finding['kind']}" if finding["kind"] in asked else finding["kind"]
            outcome.judgements.append((*key, Judgement("fail", finding["message"], rule)))
    for watch in outcome.told.get("invariant", []):
        if watch["kind"] != "contract":
            continue
        name = watch["name"] if watch["side"] == "candidate" else f"{watch['name']} (reference)"
        if watch["broken"]:
            reason = (
                f"{watch['side']}: broken at {watch['broken']} of {watch['checked']} steps, first at"
                f" {watch['observed']}"
            )
            outcome.judgements.append(("invariant", name, Judgement("fail", reason, watch["expression"])))
        elif watch["side"] == "candidate":
            word: Literal["pass", "vacuous"] = "pass" if watch["checked"] else "vacuous"
            outcome.judgements.append(
                ("invariant", name, Judgement(word, f"held at {watch['checked']} steps", watch["expression"]))
            )


def waive(outcome: Outcome, waivers: Sequence[Waiver]) -> None:
    """A failure that a waiver covers is `waived` while the premise holds; a void waiver says why it does not help."""
    premises = [w for w in outcome.told.get("invariant", []) if w["kind"] == "premise"]
    receipts: dict[str, Any] = {r["output"]: r for r in outcome.receipts if r["step"] < 0 and is_main(r)}
    for index, (subject, name, judgement) in enumerate(outcome.judgements):
        if subject != "parity" or judgement.outcome != "fail":
            continue
        about = [waiver for waiver in waivers if waiver.covers(outcome.case.name, name)]
        voids = [(waiver, waiver.void(receipts[name], premises, now())) for waiver in about]
        if helping := next((waiver for waiver, void in voids if void is None), None):
            said = f"waived: {helping.reason} (waiver {helping.waiver_id} of {helping.owner}, while {helping.premise})"
            changed = replace(judgement, outcome="waived", reason=f"{judgement.reason}; {said}")
        else:
            said = "".join(f"; waiver {w.waiver_id} of {w.owner} does not help: {void}" for w, void in voids)
            changed = replace(judgement, reason=judgement.reason + said)
        outcome.judgements[index] = (subject, name, changed)
        if about:
            outcome.waived_by[name] = (helping or about[0]).waiver_id
