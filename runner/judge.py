"""Verdicts of a case: policies over receipts, what the probes found, and the waivers that cover a failure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

from runner.parity.advice import FALSE_ALARMS, advise
from runner.parity.contract import Contract, State
from runner.parity.drift import trend
from runner.parity.policy import Judgement, judge_measurement, judge_output
from runner.parity.probes import live_states
from runner.parity.waiver import Waiver
from runner.record import Event, Outcome, measurement_rows
from schema.spool import now

MAIN_MODES = ("functional", "closed_loop", "mixed")
_TF32_FACTOR = 3.0
"""An error up to this many times what TF32 rounding makes is of its size."""


def judge(outcome: Outcome, waivers: Sequence[Waiver] = ()) -> None:
    """Fill in a case's verdicts, findings and trends, and the status that follows from them."""
    if outcome.case.check != "benchmark" and outcome.status == "ok":
        _gather(outcome)
        _judge_outputs(outcome)
        _judge_probes(outcome)
        _judge_findings(outcome)
        _waive(outcome, waivers)
    values = {m.metric: m.value for m in measurement_rows(outcome, "", "")}
    for limit in outcome.case.policy.limits:
        if limit.metric in values:
            outcome.judgements.append(("measurement", limit.metric, judge_measurement(limit, values[limit.metric])))
    outcomes = {judgement.outcome for _, _, judgement in outcome.judgements}
    if outcome.status == "ok" and "vacuous" in outcomes and "fail" not in outcomes:
        outcome.status = "vacuous"
    if outcome.case.expect:
        outcome.judgements.append(("expectation", outcome.case.expect, _as_expected(outcome)))


def _as_expected(outcome: Outcome) -> Judgement:
    """Whether a known-bad case was caught, and for the right reason."""
    case = outcome.case
    caught = [(s, n, j) for s, n, j in outcome.judgements if j.outcome == case.expect]
    rule = f"{case.expect}" + (f" by {case.expect_finding}" if case.expect_finding else "")
    if outcome.status not in ("ok", "vacuous") or not caught:
        return Judgement(
            "fail", f"this case is known to be bad ({rule}), and it was not caught: {outcome.status}", rule
        )
    words = [*(f"{s} {n} {j.reason}" for s, n, j in caught), *(f["kind"] for f in outcome.told.get("finding", []))]
    if case.expect_finding and not any(case.expect_finding in word for word in words):
        return Judgement("fail", f"it was caught, but not by {case.expect_finding!r}: {caught[0][2].reason}", rule)
    return Judgement("pass", f"caught: {caught[0][2].reason}", rule)


def is_main(receipt: Event) -> bool:
    """Whether a receipt is the case's own comparison, and not a probe's."""
    mode: str = receipt.get("mode", MAIN_MODES[0])
    return mode.startswith(MAIN_MODES)


def _gather(outcome: Outcome) -> None:
    """Put what the reference said of itself beside what the candidate told, and make findings of both."""
    for kind in ("liveness", "noise", "finding", "maxima"):
        outcome.told.setdefault(kind, []).extend(outcome.reference_told.get(kind, []))
    outcome.told["drift"] = [*_drifts(outcome)]
    if outcome.case.check == "consistency":
        _advise(outcome)
        return
    findings = outcome.told["finding"]
    findings += _reach_findings(outcome)
    findings += _repeat_findings(outcome)
    findings += _rounding_findings(outcome)
    findings += _generation_findings(outcome)


def _judge_outputs(outcome: Outcome) -> None:
    merged = [r for r in outcome.receipts if r["step"] < 0 and is_main(r)]
    dead = {f["subject"] for f in outcome.told["finding"] if f["kind"] == "dead_state"}
    for receipt in merged:
        name = receipt["output"]
        tolerance = outcome.case.policy.for_output(name)
        if tolerance.ignore:
            continue
        steps = [r for r in outcome.receipts if r["output"] == name and r["step"] >= 0 and is_main(r)]
        judgement = judge_output(tolerance, receipt, steps)
        if judgement.outcome == "pass":
            judgement = _worth_less(outcome, name, len(steps), judgement) or judgement
        elif judgement.outcome == "fail" and name in dead:
            judgement = replace(
                judgement,
                reason=f"{judgement.reason}; it does not propagate: nothing that this state feeds reaches an output",
            )
        outcome.judgements.append(("parity", name, judgement))
    if outcome.case.check == "consistency":
        return
    if outcome.case.check == "parity" and not merged:
        outcome.status, outcome.error_message = "vacuous", "the model has no outputs: nothing was compared"


def _worth_less(outcome: Outcome, name: str, steps: int, judgement: Judgement) -> Judgement | None:
    """Why a pass proves nothing, as a verdict."""
    case = outcome.case
    reason = None
    if case.golden is None and case.reference == case.backend and case.recipe.recipe in ("given", "export"):
        reason = "the candidate is the reference itself"
    elif case.mode != "functional" and steps < 2:
        reason = f"{steps} step was compared: nothing was fed back"
    elif not case.policy.for_output(name).constant_ok:
        constant = next(
            (f for f in outcome.told["finding"] if f["kind"] == "constant_output" and f["subject"] == name), None
        )
        if constant or name in outcome.prepared.get("constant", []):
            reason = "the reference gives the same answer whatever the input: agreeing with it proves nothing"
    return Judgement("vacuous", reason, judgement.rule) if reason else None


def _judge_probes(outcome: Outcome) -> None:
    """Verdicts of comparisons with itself, and of other lengths."""
    for receipt in outcome.receipts:
        if receipt["step"] >= 0 or is_main(receipt):
            continue
        mode, name = receipt["mode"], receipt["output"]
        if outcome.case.policy.for_output(name).ignore:
            continue
        tolerance = outcome.case.policy.for_output(name).model_copy(update={"constant_ok": True})
        steps = [r for r in outcome.receipts if r["output"] == name and r["step"] >= 0 and r.get("mode") == mode]
        if (
            mode != "lengths"
        ):  # nothing was approximated twice: what a policy forgives an artifact, repetition does not need
            tolerance = tolerance.model_copy(
                update={"acceptance": None, "bands": None, "sqnr_db": None, "cosine": None}
            )
        elif tolerance.acceptance:
            few = tolerance.acceptance.model_copy(update={"least_steps": None, "slope": None})
            tolerance = tolerance.model_copy(update={"acceptance": few})
        judgement = judge_output(tolerance, receipt, steps)
        if judgement.outcome == "vacuous":
            continue  # an output that is empty has nothing to repeat
        outcome.judgements.append((mode, name, judgement))
    if outcome.case.check == "consistency" and not outcome.judgements:
        outcome.status, outcome.error_message = "vacuous", "nothing finite was compared: the model cannot be consistent"


def _judge_findings(outcome: Outcome) -> None:
    """A finding that changes the verdict is one; a broken invariant is a failure with its step."""
    seen = set()
    for finding in outcome.told["finding"]:
        key = (finding["kind"], finding["subject"])
        if finding["severity"] == "fail" and key not in seen:
            seen.add(key)
            outcome.judgements.append((*key, Judgement("fail", finding["message"], finding["kind"])))
    for watch in outcome.told.get("invariant", []):
        if watch["kind"] != "contract":
            continue
        name = watch["name"] if watch["side"] == "candidate" else f"{watch['name']} (reference)"
        if watch["broken"]:
            reason = f"{watch['side']}: broken at {watch['broken']} of {watch['checked']} steps, first at {watch['observed']}"
            outcome.judgements.append(("invariant", name, Judgement("fail", reason, watch["expression"])))
        elif watch["side"] == "candidate":
            word: Literal["pass", "vacuous"] = "pass" if watch["checked"] else "vacuous"
            outcome.judgements.append(
                ("invariant", name, Judgement(word, f"held at {watch['checked']} steps", watch["expression"]))
            )


def _drifts(outcome: Outcome) -> Iterator[Event]:
    """Trends over steps: each output's largest error, and the latency."""
    series: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for receipt in outcome.receipts:
        if receipt["step"] >= 0 and is_main(receipt) and receipt["max_abs"] is not None:
            series.setdefault(("max_abs", receipt["output"]), []).append((receipt["step"], receipt["max_abs"]))
    for step in outcome.told.get("step", []):
        series.setdefault(("latency_ms", ""), []).append((step["step"], step["latency_ms"]))
    for (quantity, output), points in series.items():
        found = trend([p[0] for p in points], [p[1] for p in points])
        if found:
            yield {
                "quantity": quantity, "output": output, "n": found.n, "slope": found.slope, "low": found.low, "high": found.high,
                "p_value": found.p_value, "trend": found.direction, "peak_step": found.peak_step, "peak": found.peak,
            }  # fmt: skip


def _reach_findings(outcome: Outcome) -> Iterator[Event]:
    """Inputs and states that reach nothing, outputs that nothing reaches."""
    moved: dict[str, dict[tuple[str, str], float]] = {"reference": {}, "candidate": {}}
    states, fed = set(), dict(outcome.state_outputs)
    for event in outcome.told["liveness"]:
        moved[event["side"]][event["input"], event["output"]] = event["moved"]
        states |= {event["input"]} if event["is_state"] else set()
    if not moved["reference"] or not moved["candidate"]:
        return
    contract = Contract.model_construct(state=tuple(State(output=o, input=i) for i, o in fed.items()))
    live = {side: live_states(reach, contract) for side, reach in moved.items()}
    for name in sorted({key[0] for key in moved["reference"]}):
        if name in states and name in live["reference"] and name not in live["candidate"]:
            yield _finding(
                "lost_state",
                name,
                "fail",
                f"state {name!r} moves the reference's outputs and none of the candidate's: it is not connected, or merged with another",
            )
        elif name in states and name not in live["reference"] | live["candidate"]:
            yield _finding(
                "dead_state",
                fed.get(name, name),
                "note",
                f"state {name!r} reaches no output on either side: an error in {fed.get(name, name)!r} cannot propagate",
            )
        elif name not in states and any(d for (i, _), d in moved["reference"].items() if i == name):
            theirs = [d for (i, _), d in moved["candidate"].items() if i == name]
            if theirs and not any(theirs):
                yield _finding(
                    "lost_input",
                    name,
                    "fail",
                    f"input {name!r} moves the reference's outputs and none of the candidate's",
                )
    tried = {key[0] for key in moved["reference"]}
    untried = (
        set(outcome.prepared.get("inputs", [])) - tried
    )  # what only such an input moves looks constant, and is not
    outputs = set() if untried else {key[1] for key in moved["reference"]}
    yield from (
        _finding("constant_output", name, "warning", f"no input moves {name!r} in the reference")
        for name in sorted(outputs)
        if not any(d for (_, o), d in moved["reference"].items() if o == name)
        and not outcome.case.policy.for_output(name).constant_ok
    )
    yield from (
        _finding(
            "frozen_output",
            name,
            "fail",
            f"inputs move {name!r} in the reference, and no input moves it in the candidate",
        )
        for name in sorted({key[1] for key in moved["candidate"]})
        if any(d for (_, o), d in moved["reference"].items() if o == name)
        and not any(d for (_, o), d in moved["candidate"].items() if o == name)
    )


def _repeat_findings(outcome: Outcome) -> Iterator[Event]:
    for event in outcome.reference_told.get("reference_repeat", []):
        receipt = event["receipt"]
        if receipt["violations"]:
            yield _finding(
                "not_repeatable",
                receipt["output"],
                "fail",
                f"the reference gives two answers to the same input ({_figure(receipt['max_abs'])} apart in {receipt['output']!r}): left in training mode, or random",
            )


_UNLIKE = 0.1


def _generation_findings(outcome: Outcome) -> Iterator[Event]:
    """Against a golden: outputs that are all far off from the first step on are another model's, not a wrong operator's."""
    if outcome.case.golden is None or any(f["kind"] == "other_generation" for f in outcome.told["finding"]):
        return
    first = [
        r for r in outcome.receipts if r["step"] == 0 and is_main(r) and r["elements"] and r["max_abs"] is not None
    ]
    real = [r for r in first if str(r["expected_dtype"]).startswith(("float", "bfloat")) and r["expected_std"]]
    off = [r["rel_l2"] for r in real if r["rel_l2"] is not None and r["rel_l2"] > _UNLIKE]
    if real and len(off) == len(real):
        message = (
            f"every output is off from the first step (relative L2 {min(off):.2g} and more): golden {outcome.case.golden!r} may be of "
            "another generation of the model, or its inputs were prepared in another way"
        )
        yield _finding("other_generation", real[0]["output"], "warning", message)


def _rounding_findings(outcome: Outcome) -> Iterator[Event]:
    """For outputs that miss the tolerance: is the error of the size that reduced-precision products would make?"""
    rounding = {e["output"]: e["rel_l2"] for e in outcome.told["noise"] if e["source"] == "tf32" and e["rel_l2"]}
    for receipt in outcome.receipts:
        name = receipt["output"]
        if (
            receipt["step"] >= 0
            or not is_main(receipt)
            or not receipt["violations"]
            or name not in rounding
            or not receipt["rel_l2"]
        ):
            continue
        times = receipt["rel_l2"] / rounding[name]
        if 1 / _TF32_FACTOR <= times <= _TF32_FACTOR:
            yield _finding(
                "rounding_sized",
                name,
                "note",
                f"the error (relative L2 {receipt['rel_l2']:.2g}) is of the size that TF32 products would make ({rounding[name]:.2g}): check the backend's precision before the graph",
            )
        elif times > _TF32_FACTOR:
            yield _finding(
                "beyond_rounding",
                name,
                "note",
                f"the error (relative L2 {receipt['rel_l2']:.2g}) is {times:.3g} times what TF32 products would make: rounding does not explain it",
            )


_LOOSE = 100.0


def _advise(outcome: Outcome) -> None:
    """A tolerance for each output from everything that moves it without a fault, and what the policy's is against it."""
    by_output: dict[str, dict[str, list[float]]] = {}
    largest: dict[str, float] = {}
    for event in outcome.told["maxima"]:
        by_output.setdefault(event["output"], {}).setdefault(event["source"], []).extend(event["values"])
        largest[event["output"]] = max(largest.get(event["output"], 0.0), event.get("expected_max", 0.0))
    for output, maxima in by_output.items():
        sources = {source: values for source, values in maxima.items() if source not in ("tf32", "bfloat16")}
        found = advise(sources, largest.get(output, 0.0), 2.0**-23)
        if found is None or found.atol == 0:  # nothing moves it: an integer, or a constant
            continue
        basis = f"widest: {found.basis}; at most {FALSE_ALARMS:g} of comparisons fail without a fault"
        outcome.told["noise"].append({"source": "advice", "output": output, "n": found.n, "max_abs": None, "p999_abs": None, "rel_l2": None,
                                      "atol": found.atol, "rtol": found.rtol, "problem": basis})  # fmt: skip
        asked = outcome.case.policy.for_output(output)
        if asked.rule == "exact" or asked.bands or asked.acceptance:
            continue
        reach = asked.atol + asked.rtol * largest.get(output, 0.0)
        if reach < found.atol:
            outcome.told["finding"].append(
                _finding(
                    "tolerance_below_noise",
                    output,
                    "warning",
                    f"the tolerance of {output!r} reaches {reach:.2g}, noise alone reaches {found.atol:.2g}: it will fail without a fault",
                )
            )
        elif found.atol and reach > _LOOSE * found.atol:
            outcome.told["finding"].append(
                _finding(
                    "tolerance_loose",
                    output,
                    "note",
                    f"the tolerance of {output!r} reaches {reach:.2g}, {reach / found.atol:.0f} times the noise ({found.atol:.2g}): faults fit in between",
                )
            )


def _figure(value: float | None) -> str:
    """A figure that may be absent: nothing finite was compared."""
    return "not finite" if value is None else f"{value:.3g}"


def _finding(kind: str, subject: str, severity: str, message: str) -> Event:
    return {"kind": kind, "subject": subject, "severity": severity, "message": message}


def _waive(outcome: Outcome, waivers: Sequence[Waiver]) -> None:
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
