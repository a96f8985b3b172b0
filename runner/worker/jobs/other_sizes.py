"""Other sizes and ragged lengths: what the reference answers is recorded, and a candidate is held against it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from assay.runner.parity.alone import RowsAlone, batch_places, rows_alone
from assay.runner.parity.comparison import OutputComparison
from assay.runner.parity.measured import measured_inputs
from assay.runner.parity.sizes import OTHER, RAGGED, Answer, Axis, Sizes, answers
from assay.runner.rules.contract import Contract
from assay.runner.rules.policy import Policy
from assay.runner.session import NotBuiltFor, Session
from assay.runner.tensors import Array, Tensors
from assay.runner.worker.events.event import Events
from assay.runner.worker.events.facts import LengthsRecorded, ReceiptGiven
from assay.runner.worker.events.rows import Noticed
from assay.runner.worker.job import PrepareJob
from assay.runner.worker.jobs.session import Renamed, probe_receipts, spread_steps
from assay.runner.workloads import golden

_BORROWED_STEPS = 8
"""Recorded steps that probes borrow other data from."""
_TOLD = 4
"""Sizes at which an output is off that are told by name."""
Facts = dict[str, Any]
OpenAxes = Mapping[str, Mapping[int, str]]


class Recorder:
    """What a reference computes at other sizes of the axes that artifacts leave open, and for each row alone.

    Artifacts that leave the same axes open share what was recorded.
    """

    def __init__(self, job: PrepareJob, events: Events, session: Session, contract: Contract) -> None:
        self._job, self._events, self._session, self._contract = job, events, session, contract
        self._made: dict[str, tuple[bool, list[Facts]]] = {}
        """Name of a golden -> whether the reference answered anything, and what is to be noted."""

    def record(self, which: dict[str, str], recorded: golden.Golden, axes: OpenAxes) -> None:
        """Record it for a variant and workload (`which`), and tell where."""
        ours = {theirs: name for name, theirs in self._job.rename_inputs.items()}
        named = {ours.get(name, name): by_axis for name, by_axis in axes.items() if by_axis}
        asked = json.dumps([recorded.name, sorted(named.items())], sort_keys=True)
        name = f"references/{hashlib.sha256(asked.encode()).hexdigest()[:24]}"
        if name not in self._made:
            self._made[name] = self._answered(name, recorded, named)
        answered, notes = self._made[name]
        for note in notes:
            self._events.emit(Noticed(**which, severity="note", **note))
        if answered:
            self._events.emit(LengthsRecorded(**which, golden=name))

    def _answered(self, name: str, recorded: golden.Golden, named: OpenAxes) -> tuple[bool, list[Facts]]:
        sizes = _sizes(recorded, self._contract)
        found = list(answers(self._session.infer, sizes, named))
        axes = sizes.axes(named)
        notes = [*_tried_once(axes, found, recorded)]
        if found:
            alone = _alone(self._session, axes, found)
            notes += _not_independent(alone)
            golden.write(Path(self._job.goldens), name, *_kept(found, alone))
        return bool(found), notes


def _tried_once(axes: Sequence[Axis], found: Sequence[Answer], recorded: golden.Golden) -> Iterator[Facts]:
    for axis in axes:
        varied = any(axis.symbol in symbol.split("=") for answer in found for symbol, _ in answer.probe.varied)
        if not varied and _always(recorded, axis):
            message = (
                f"{axis.symbol!r} is open, and {axis.size} is the only size that was tried: no other is in the"
                " workload, and the reference answers at none that was made"
            )
            yield {"kind": "axis_tried_once", "subject": axis.symbol, "message": message}


def _not_independent(alone: tuple[int, RowsAlone] | None) -> Iterator[Facts]:
    for output, apart in alone[1].mixed.items() if alone else ():
        message = (
            f"rows of a batch are not independent in the reference ({output!r} of a row alone is {apart:.2g} of its"
            " largest value away): what the artifact makes of rows is compared with whole batches only"
        )
        yield {"kind": "rows_not_independent", "subject": output, "message": message}


def _sizes(recorded: golden.Golden, contract: Contract) -> Sizes:
    """Inputs of a few recorded steps; the second is changed, whose states are no longer all alike."""
    at = min(1, len(recorded.steps) - 1)
    steps = sorted({at, *spread_steps(len(recorded.steps), _BORROWED_STEPS)})
    inputs = [recorded.inputs(step) for step in steps]
    return Sizes(inputs, steps.index(at), contract, measured_inputs(inputs, contract))


def _always(recorded: golden.Golden, axis: Axis) -> bool:
    """Whether every recorded step has the axis at one size; from the index alone."""
    name, at = axis.places[0]
    return len({step["inputs"][name]["shape"][at] for step in recorded.steps}) == 1


def _alone(session: Session, axes: Sequence[Axis], found: Sequence[Answer]) -> tuple[int, RowsAlone] | None:
    """The smallest batch of an odd number of distinct rows that the reference answered, and its rows one by one."""
    for axis in axes:
        for number, answer in enumerate(found):
            places = batch_places(axis.places, answer.probe.inputs, axis.symbol)
            if places and answer.probe.varied == ((axis.symbol, "3"),):
                made = rows_alone(session.infer, answer.probe.inputs, answer.outputs, places)
                return None if made is None else (number, made)
    return None


def _kept(
    found: Sequence[Answer], alone: tuple[int, RowsAlone] | None
) -> tuple[dict[str, Any], list[tuple[Tensors, Tensors]]]:
    """Facts and steps of a golden: the probes, then single rows."""
    steps = [(answer.probe.inputs, answer.outputs) for answer in found]
    facts: dict[str, Any] = {
        "labels": [answer.probe.label for answer in found],
        "varied": [answer.probe.varied for answer in found],
    }
    if alone is not None:
        number, rows = alone
        facts["rows"] = {"batch": number, "first": len(steps), "axes": dict(rows.axes)}
        steps += zip(rows.inputs, rows.outputs, strict=True)
        label = found[number].probe.label
        facts["labels"] += [f"row {row} of {label} alone" for row in range(len(rows.inputs))]
    return facts, steps


def compare(events: Events, session: Renamed, recorded: golden.Golden, policy: Policy, contract: Contract) -> None:
    """A candidate at every size that the reference answered, and its batch against each row alone."""
    compared = OutputComparison(policy, {})
    off: dict[str, list[str]] = {}
    rows = recorded.facts.get("rows") or {"batch": -1, "axes": {}}
    labels: list[str] = recorded.facts["labels"]
    ran = []
    for step, label in enumerate(labels):
        actual = _answer(events, session, recorded.inputs(step), label)
        if actual is None:
            continue
        ran.append(step)
        pairs = [(step, label, recorded.outputs(step))]
        if step == rows["batch"] and (alone := _rows_expected(recorded, rows, policy, pairs[0][2])):
            pairs.append((len(labels), f"{label}, against each row alone", alone))
        for number, words, right in pairs:
            for receipt in compared.step(number, right, actual, _masks(contract, recorded.inputs(step), right)):
                events.emit(ReceiptGiven({**receipt, "mode": "lengths"}))
                if receipt["violations"] or receipt["problem"]:
                    off.setdefault(receipt["output"], []).append(words)
    for receipt in probe_receipts(compared, "lengths"):
        events.emit(ReceiptGiven(receipt))
    for output, where in off.items():
        more = f" and {len(where) - _TOLD} more" if len(where) > _TOLD else ""
        _note(events, "off_at_other_sizes", output, f"off at {'; '.join(where[:_TOLD])}{more}")
    known = recorded.facts.get("varied", [])
    if varied := [known[step] for step in ran if step < len(known)]:
        alone_too = rows["axes"] and rows["batch"] in ran
        _note(
            events,
            "other_sizes",
            "sizes",
            ", ".join([*said(varied), *(["each row as it is alone"] if alone_too else [])]),
        )


def _answer(events: Events, session: Renamed, given: Tensors, label: str) -> Tensors | None:
    """What the candidate answers; None where it does not, which is a finding unless an engine was built so."""
    try:
        return session.infer(given)
    except NotBuiltFor:
        return None
    except ValueError as error:
        message = f"the reference runs at {label}, the candidate does not: {error}"
        events.emit(Noticed(kind="traced_length", subject=label, severity="fail", message=message))
        return None


def _note(events: Events, kind: str, subject: str, message: str) -> None:
    events.emit(Noticed(kind=kind, subject=subject, severity="note", message=message))


def _rows_expected(recorded: golden.Golden, rows: Mapping[str, Any], policy: Policy, together: Tensors) -> Tensors:
    """What rows are alone, put together, of outputs whose reference keeps the policy against itself there."""
    steps = range(rows["first"], len(recorded.steps))
    some = [recorded.outputs(step) for step in steps]
    made = RowsAlone((), tuple(some), rows["axes"], {}).expected
    noise = OutputComparison(policy, {})
    right = {name: together[name] for name in made}
    clean = {r["output"] for r in noise.step(0, right, made) if not r["violations"] and not r["problem"]}
    return {name: array for name, array in made.items() if name in clean}


def _masks(contract: Contract, given: Tensors, expected: Tensors) -> dict[str, Array]:
    """What counts of each output, where the contract says it and the lengths are there."""
    found = {name: contract.mask(name, array, {**given, **expected}) for name, array in expected.items()}
    return {name: mask for name, mask in found.items() if mask is not None}


def said(varied: Sequence[Sequence[Sequence[str]]]) -> Iterator[str]:
    """What was varied, in few words: at how many sizes of which axes, and what was ragged."""
    by_axis: dict[str, list[str]] = {}
    sizes = {tuple((axis, size) for axis, size in one if size not in (RAGGED, OTHER)) for one in varied} - {()}
    for one in sizes:
        for axis, size in one if len(one) == 1 else ():
            by_axis.setdefault(axis, []).append(size)
    words = [f"{axis} {', '.join(sorted(found, key=int))}" for axis, found in sorted(by_axis.items())]
    words += ["several axes at once"] if any(len(one) > 1 for one in sizes) else []
    if words:
        yield f"at {len(sizes)} other size{'s' if len(sizes) > 1 else ''} ({'; '.join(words)})"
    yield from sorted({f"with {size} {name}" for one in varied for name, size in one if size in (RAGGED, OTHER)})
