"""Run the candidate on recorded inputs, step by step, compare what comes out, then ask what a comparison cannot see."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from assay.runner.errors import UsageError
from assay.runner.parity import exchanged, probes
from assay.runner.parity.comparison import OutputComparison
from assay.runner.parity.steps import StepPlan, walk
from assay.runner.rules.expression import parse
from assay.runner.rules.policy import Policy
from assay.runner.worker.events.event import Event, Events
from assay.runner.worker.events.facts import ReceiptGiven
from assay.runner.worker.events.rows import InvariantWatched, Noticed, Reached, Stepped
from assay.runner.worker.job import CaseJob
from assay.runner.worker.jobs import other_sizes, precision
from assay.runner.worker.jobs.session import (
    Renamed,
    announce,
    contract_of,
    open_session,
    probe_receipts,
    spread_steps,
    with_itself,
)
from assay.runner.workloads import golden

_OF_STEPS: dict[str, Callable[[dict[str, Any]], Event]] = {
    "step": lambda told: Stepped(**told),
    "receipt": ReceiptGiven,
    "invariant": lambda told: InvariantWatched(**told),
    "finding": lambda told: Noticed(**told),
}
"""What `assay.runner.parity.steps.walk` tells -> its event."""


def run(job: CaseJob, events: Events) -> None:
    """Receipts and steps of one case, then its probes."""
    expected = golden.read(Path(job.goldens), job.golden)
    policy, contract = Policy.model_validate(job.policy), contract_of(job)
    comparison = OutputComparison(policy, {})
    plan = StepPlan(
        mode=job.mode,
        contract=contract,
        premises=tuple(parse(text) for text in job.premises),
        rename=job.rename,
        rename_inputs=job.rename_inputs,
        max_steps=job.max_steps,
        pad_side=job.pad_side,
        dump=Path(job.dump) if job.dump else None,
    )
    started = time.perf_counter()
    with open_session(job) as session:
        announce(session, events, (time.perf_counter() - started) * 1e3)
        for kind, told in walk(expected, session.open_stream, comparison, plan):
            events.emit(_OF_STEPS[kind](told))
        merged = [*comparison.merged()]
        for receipt in merged:
            events.emit(ReceiptGiven(receipt))
        if expected.steps:
            named = Renamed(session, job.rename_inputs, job.rename)
            _exchanged(events, named, expected, policy, [r["output"] for r in merged if r["violations"]])
            _probe(job, events, named, expected, policy)
            precision.look(job, events, session, expected, policy)


def _exchanged(events: Events, session: Renamed, expected: golden.Golden, policy: Policy, failing: list[str]) -> None:
    """Whether what fails passes with two outputs, or two inputs, exchanged."""
    if not failing:
        return
    steps = spread_steps(len(expected.steps))
    given, right = [expected.inputs(step) for step in steps], [expected.outputs(step) for step in steps]
    with contextlib.suppress(Exception):  # what a model does with other inputs than its own is no failure of the case
        made = [session.infer(inputs) for inputs in given]
        found = [*exchanged.outputs(right, made, failing, policy)]
        for pair in found or [*exchanged.inputs(given, right, session.infer, policy)]:
            subject = f"{pair.first}, {pair.second}"
            events.emit(Noticed(kind=pair.kind, subject=subject, severity="warning", message=str(pair)))


def _probe(job: CaseJob, events: Events, session: Renamed, expected: golden.Golden, policy: Policy) -> None:
    """Twice the same, which inputs reach which outputs, and other sizes."""
    contract = contract_of(job)
    some = [expected.inputs(step) for step in spread_steps(len(expected.steps))]
    again = OutputComparison(with_itself(policy), {})
    list(again.step(0, *probes.repeat(session, some[0])))
    for receipt in probe_receipts(again, "repeat"):
        events.emit(ReceiptGiven(receipt))
    found = probes.reach(session, some)
    for event in found.events("candidate", contract.state_inputs):
        events.emit(Reached(**event))
    if job.source["kind"] == "onnx":
        _simulate(job, events, session, expected, policy)
    if name := job.lengths:
        other_sizes.compare(events, session, golden.read(Path(job.goldens), name), policy, contract)


def _simulate(job: CaseJob, events: Events, session: Renamed, expected: golden.Golden, policy: Policy) -> None:
    """What quantization costs by itself beside what it costs as it is executed, on a few steps."""
    from assay.runner.graphs.simulate import in_float, integer_operators

    path = Path(job.source["location"])
    kinds = integer_operators(path)
    if not kinds:
        return
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "simulated.onnx"
        pairs = "DequantizeLinear" in kinds
        if not in_float(path, target):
            if not pairs:
                return
            target = path
        options = {
            **job.options,
            "graph_optimization": "none",
            "session": {"session.disable_quant_qdq": "1"} if pairs else {},
        }
        simulated = replace(job, options=options, source={**job.source, "location": str(target)})
        try:
            stack = contextlib.ExitStack()
            opened = stack.enter_context(open_session(simulated))
        except UsageError as error:  # a probe that cannot be made says so; the case stands
            events.emit(
                Noticed(
                    kind="not_simulated",
                    subject="integer products",
                    severity="note",
                    message=f"what quantization costs by itself is not known: {error}",
                )
            )
            return
        with stack:
            other = Renamed(opened, job.rename_inputs, job.rename)
            for mode, candidate in (("executed", session), ("simulated", other)):
                compared = OutputComparison(policy, {})
                for step in spread_steps(len(expected.steps)):
                    list(compared.step(step, expected.outputs(step), candidate.infer(expected.inputs(step))))
                for receipt in probe_receipts(compared, mode):
                    events.emit(ReceiptGiven(receipt))
