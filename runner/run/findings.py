"""What explains a verdict: findings and trends of a case, from what its worker and its reference told."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from assay.runner.parity.probes import live_states
from assay.runner.rules.advice import FALSE_ALARMS, advise
from assay.runner.rules.contract import Contract, State
from assay.runner.run.outcome import Facts, Outcome, is_main
from assay.runner.timing import gpu
from assay.runner.timing.trend import trend

_TF32_FACTOR = 3.0
"""An error up to this many times what TF32 rounding makes is of its size."""
_UNLIKE = 0.1
"""Relative L2 error beyond which two outputs have nothing to do with each other."""
_SATURATED_DB = 3.0
"""Quality lost between exact and executed integer products that rounding does not explain."""
_ENQUEUE_BOUND = 0.9
"""From this share of the device's time on, queueing the work is what takes the time."""
_LOOSE = 100.0
"""A tolerance this many times the noise lets faults pass."""


def gather(outcome: Outcome) -> None:
    """Put what the reference said of itself beside what the candidate told, and make findings of both."""
    for kind in ("liveness", "noise", "finding", "maxima"):
        outcome.told.setdefault(kind, []).extend(outcome.reference_told.get(kind, []))
    outcome.told["drift"] = [*_drifts(outcome)]


def parity_findings(outcome: Outcome) -> list[Facts]:
    """What explains the verdicts of a case that is compared with a right side."""
    return [
        *_reach_findings(outcome),
        *_repeat_findings(outcome),
        *_rounding_findings(outcome),
        *_generation_findings(outcome),
        *_saturation_findings(outcome),
    ]


def device_findings(outcome: Outcome) -> Iterator[Facts]:
    """Of a case that was timed on a device: what makes its timings worth less."""
    for kind, subject, message in gpu.problems(outcome.gpu, outcome.gpu_own):
        yield _finding(kind, subject, "warning", message)
    if not outcome.phases:
        return
    enqueue, compute = (float(np.median(outcome.phases[name])) for name in ("enqueue", "compute"))
    if enqueue >= _ENQUEUE_BOUND * compute and "graph" not in outcome.case.mode:
        yield _finding(
            "enqueue_bound",
            "enqueue",
            "note",
            f"the host needs {enqueue:.3g} ms to queue what the device computes in {compute:.3g} ms: the time is the"
            " host's; try the mode events+graph",
        )


def _saturation_findings(outcome: Outcome) -> Iterator[Facts]:
    """Quality that quantization allows (products in float64) against the quality of the kernels that run."""
    sides: dict[str, dict[str, float]] = {"simulated": {}, "executed": {}}
    for receipt in outcome.receipts:
        if (
            receipt["step"] < 0
            and receipt.get("mode") in sides
            and "float" in str(receipt["expected_dtype"])
            and receipt["sqnr_db"] is not None
        ):
            sides[receipt["mode"]][receipt["output"]] = receipt["sqnr_db"]
    for output in sides["simulated"].keys() & sides["executed"].keys():
        simulated, executed = sides["simulated"][output], sides["executed"][output]
        lost = simulated - executed if simulated != executed else 0.0
        words = f"{output}: {simulated:.1f} dB with exact integer products, {executed:.1f} dB as executed"
        if lost > _SATURATED_DB:
            yield _finding(
                "executed_worse_than_simulated",
                output,
                "warning",
                f"{words}: the kernels saturate or round, as u8s8 ones do on x86 without VNNI; try reduce_range or"
                " weights of uint8",
            )
        else:
            yield _finding(
                "executed_as_simulated",
                output,
                "note",
                f"{words}: what is lost is lost by quantization itself, not by the kernels",
            )


def _drifts(outcome: Outcome) -> Iterator[Facts]:
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
                "quantity": quantity,
                "output": output,
                "n": found.n,
                "slope": found.slope,
                "low": found.low,
                "high": found.high,
                "p_value": found.p_value,
                "trend": found.direction,
                "peak_step": found.peak_step,
                "peak": found.peak,
            }


def _reach_findings(outcome: Outcome) -> Iterator[Facts]:
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
                f"state {name!r} moves the reference's outputs and none of the candidate's: it is not connected, or"
                " merged with another",
            )
        elif name in states and name not in live["reference"] | live["candidate"]:
            yield _finding(
                "dead_state",
                fed.get(name, name),
                "note",
                f"state {name!r} reaches no output on either side: an error in {fed.get(name, name)!r} cannot"
                " propagate",
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
    for name in sorted(untried):
        yield _finding(
            "input_not_tried",
            name,
            "note",
            f"input {name!r} was not perturbed: no other value of it is known, or the reference takes none; whether it"
            " reaches an output is not known",
        )
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


def _repeat_findings(outcome: Outcome) -> Iterator[Facts]:
    for event in outcome.reference_told.get("reference_repeat", []):
        receipt = event["receipt"]
        if receipt["violations"]:
            yield _finding(
                "not_repeatable",
                receipt["output"],
                "fail",
                f"the reference gives two answers to the same input ({_figure(receipt['max_abs'])} apart in"
                f" {receipt['output']!r}): left in training mode, or random",
            )


def _rounding_findings(outcome: Outcome) -> Iterator[Facts]:
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
                f"the error (relative L2 {receipt['rel_l2']:.2g}) is of the size that TF32 products would make"
                f" ({rounding[name]:.2g}): check the backend's precision before the graph",
            )
        elif times > _TF32_FACTOR:
            yield _finding(
                "beyond_rounding",
                name,
                "note",
                f"the error (relative L2 {receipt['rel_l2']:.2g}) is {times:.3g} times what TF32 products would make:"
                " rounding does not explain it",
            )


def _generation_findings(outcome: Outcome) -> Iterator[Facts]:
    """Against a golden: outputs that are all far off from the first step on are those of another model.

    A wrong operator is not what explains that.
    """
    if outcome.case.golden is None or any(f["kind"] == "other_generation" for f in outcome.told["finding"]):
        return
    first = [
        r for r in outcome.receipts if r["step"] == 0 and is_main(r) and r["elements"] and r["max_abs"] is not None
    ]
    real = [r for r in first if str(r["expected_dtype"]).startswith(("float", "bfloat")) and r["expected_std"]]
    off = [r["rel_l2"] for r in real if r["rel_l2"] is not None and r["rel_l2"] > _UNLIKE]
    if real and len(off) == len(real):
        message = (
            f"every output is off from the first step (relative L2 {min(off):.2g} and more): golden"
            f" {outcome.case.golden!r} may be of another generation of the model, or its inputs were prepared in"
            " another way"
        )
        yield _finding("other_generation", real[0]["output"], "warning", message)


def advise_tolerances(outcome: Outcome) -> None:
    """A tolerance for each output from everything that moves it without a fault, held against the policy's."""
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
        outcome.told["noise"].append(
            {
                "source": "advice",
                "output": output,
                "n": found.n,
                "max_abs": None,
                "p999_abs": None,
                "rel_l2": None,
                "atol": found.atol,
                "rtol": found.rtol,
                "problem": basis,
            }
        )
        dtype = next((r["expected_dtype"] for r in outcome.receipts if r["output"] == output), None)
        asked = outcome.case.policy.for_output(output, dtype)
        if asked.rule not in ("mixed", "either") or asked.bands or asked.acceptance:
            continue
        reach = asked.allowed(largest.get(output, 0.0))
        if reach < found.atol:
            outcome.told["finding"].append(
                _finding(
                    "tolerance_below_noise",
                    output,
                    "warning",
                    f"the tolerance of {output!r} reaches {reach:.2g}, noise alone reaches {found.atol:.2g}: it will"
                    " fail without a fault",
                )
            )
        elif found.atol and reach > _LOOSE * found.atol:
            outcome.told["finding"].append(
                _finding(
                    "tolerance_loose",
                    output,
                    "note",
                    f"the tolerance of {output!r} reaches {reach:.2g}, {reach / found.atol:.0f} times the noise"
                    f" ({found.atol:.2g}): faults fit in between",
                )
            )


def _figure(value: float | None) -> str:
    """A figure that may be absent: nothing finite was compared."""
    return "not finite" if value is None else f"{value:.3g}"


def _finding(kind: str, subject: str, severity: str, message: str) -> Facts:
    return {"kind": kind, "subject": subject, "severity": severity, "message": message}
