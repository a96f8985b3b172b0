"""Parity step by step: functional, closed loop, and between them.

`functional` gives the candidate the reference's states at every step, `closed_loop` only at the first, `mixed-K` every
K steps; after that, its own outputs are fed back. Each step leaves a receipt for every output, its latency, and what
became of the invariants.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from assay.runner.errors import UsageError
from assay.runner.parity.comparison import OutputComparison
from assay.runner.rules.contract import Contract, fit
from assay.runner.rules.expression import CannotEvaluate, InvariantExpression, values_of
from assay.runner.session import Stream
from assay.runner.tensors import Tensors, storable

FUNCTIONAL = "functional"
CLOSED_LOOP = "closed_loop"
_KEPT_STEPS = 1000
_DUMPED_STEPS = 20


class Steps(Protocol):
    """Recorded inputs and outputs, by step: a golden."""

    @property
    def steps(self) -> list[Any]: ...

    def inputs(self, step: int) -> Tensors: ...

    def outputs(self, step: int) -> Tensors: ...


def resync_every(mode: str) -> int:
    """Steps between two states from the reference: 1 for functional, 0 (never again) for closed loop, K for `mixed-K`.

    Raises:
        UsageError: another word.
    """
    if mode in (FUNCTIONAL, CLOSED_LOOP):
        return 1 if mode == FUNCTIONAL else 0
    if found := re.fullmatch(r"mixed[-(](\d+)\)?", mode):
        if (every := int(found.group(1))) >= 2:
            return every
        raise UsageError(f"mode {mode!r} would re-synchronise at every step: that is functional.")
    raise UsageError(f"there is no mode {mode!r}: it is functional, closed_loop or mixed-K, e.g. mixed-25.")


@dataclass(slots=True)
class InvariantWatch:
    """One invariant on one side, over all steps."""

    invariant: InvariantExpression
    kind: str
    side: str
    checked: int = 0
    broken: list[int] = field(default_factory=list)
    count: int = 0
    observed: str | None = None

    def see(self, step: int, values: Mapping[str, Any], previous: Mapping[str, Any] | None) -> None:
        """Evaluate it at one step. A step before the first has no `previous`: that is not a break."""
        try:
            holds, seen = self.invariant.check(values, previous)
        except CannotEvaluate as problem:
            if previous is None and "previous." in self.invariant.text:
                return
            holds, seen = False, f"cannot be evaluated: {problem}"
        self.checked += 1
        if not holds:
            self.count += 1
            if self.observed is None:
                self.observed = f"step {step}: {seen}" if seen else f"step {step}"
            if len(self.broken) < _KEPT_STEPS:
                self.broken.append(step)

    def event(self) -> dict[str, Any]:
        return {
            "name": self.invariant.text,
            "kind": self.kind,
            "expression": self.invariant.text,
            "side": self.side,
            "checked": self.checked,
            "broken": self.count,
            "first_broken": self.broken[0] if self.broken else None,
            "broken_steps": self.broken,
            "observed": self.observed,
        }


@dataclass(frozen=True, slots=True)
class StepPlan:
    """What to do at every step."""

    mode: str = FUNCTIONAL
    contract: Contract = field(default_factory=Contract)
    premises: tuple[InvariantExpression, ...] = ()
    rename: Mapping[str, str] = field(default_factory=dict)
    """Candidate's output -> the reference's."""
    rename_inputs: Mapping[str, str] = field(default_factory=dict)
    """Reference's input -> the candidate's."""
    max_steps: int | None = None
    pad_side: str | None = None
    """Overrides the side of every state's padding."""
    dump: Path | None = None
    """Where inputs and both sides' outputs of failing steps go, as npz."""


def walk(
    recorded: Steps, open_stream: Any, comparison: OutputComparison, plan: StepPlan
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Events (`receipt`, `step`, `invariant`) of a candidate that takes the recorded steps.

    `open_stream` makes a Stream from {input: output}.

    Raises:
        UsageError: the mode needs states and the contract has none.
    """
    every, states = resync_every(plan.mode), plan.contract.state_inputs
    if every != 1 and not states:
        raise UsageError(
            f"mode {plan.mode} feeds states back, and the model's contract names none. Write one: assay contract init"
        )
    theirs = {ours: candidate for candidate, ours in plan.rename.items()}
    fed_back = {plan.rename_inputs.get(n, n): theirs.get(s.output, s.output) for n, s in states.items()}
    stream: Stream = open_stream(fed_back)
    loop = _Loop(plan, [*_watches(plan)])
    count = min(len(recorded.steps), plan.max_steps or len(recorded.steps))
    for step in range(count):
        given = recorded.inputs(step)
        expected = recorded.outputs(step)
        fresh = step == 0 or every == 1 or (every > 1 and step % every == 0) or loop.resets(given)
        feed = given if fresh else {**{n: a for n, a in given.items() if n not in states}, **loop.fitted(given)}
        took = stream.step({plan.rename_inputs.get(n, n): a for n, a in feed.items()})
        actual = {plan.rename.get(n, n): a for n, a in _outputs(stream).items()}
        yield "step", {"step": step, "latency_ms": took, "resynced": fresh}
        receipts = list(comparison.step(step, expected, actual, loop.masks(expected, given)))
        for receipt in receipts:
            yield "receipt", receipt
        whole = {**given, **({} if fresh else loop.fed_back()), **feed}
        if plan.dump and loop.dumped < _DUMPED_STEPS and any(r["violations"] or r["problem"] for r in receipts):
            loop.dump_step(step, plan.dump, whole, expected, actual)
        loop.seen(step, given, whole, expected, actual)
    for watch in loop.watches:
        yield "invariant", watch.event()
    for message, at in loop.broken_contract.items():
        yield (
            "finding",
            {
                "kind": "contract",
                "subject": message.split("'")[1] if "'" in message else "contract",
                "severity": "fail",
                "message": f"the contract is broken {at}: {message}",
            },
        )


def _outputs(stream: Stream) -> Tensors:
    """Outputs of the last step; those of a device stay there until their values are asked for."""
    held: Tensors | None = stream.device_outputs()
    return stream.outputs() if held is None else held


def _watches(plan: StepPlan) -> Iterator[InvariantWatch]:
    for invariant in plan.contract.parsed:
        yield InvariantWatch(invariant, "contract", "candidate")
        yield InvariantWatch(invariant, "contract", "reference")
    for premise in plan.premises:
        yield InvariantWatch(premise, "premise", "candidate")


class _Loop:
    """What is carried from step to step."""

    def __init__(self, plan: StepPlan, watches: Sequence[InvariantWatch]) -> None:
        self._plan, self._contract = plan, plan.contract
        self.watches = watches
        self.dumped = 0
        self.broken_contract: dict[str, str] = {}
        self._previous: dict[str, dict[str, Any]] = {}
        self._actual: Tensors = {}
        self._reset = _parsed_reset(plan.contract)

    def resets(self, given: Tensors) -> bool:
        if self._reset is None:
            return False
        try:
            return self._reset.check(given)[0]
        except CannotEvaluate:
            return False

    def fed_back(self) -> Tensors:
        """States of the step before, as they came out."""
        return {s.input: self._actual[s.output] for s in self._contract.state if s.output in self._actual}

    def fitted(self, given: Tensors) -> Tensors:
        """States that have to be padded or cut before they are fed back; the others stay on the device."""
        made = {}
        for state in self._contract.state:
            if state.pad is None or state.output not in self._actual:
                continue
            pad = (
                state.pad if self._plan.pad_side is None else state.pad.model_copy(update={"side": self._plan.pad_side})
            )
            array, shape = np.asarray(self._actual[state.output]), given[state.input].shape
            if array.shape != shape:
                made[state.input] = fit(array, shape, pad)
        return made

    def masks(self, expected: Tensors, given: Tensors) -> Tensors:
        values = {**given, **expected}
        found = {name: self._contract.mask(name, array, values) for name, array in expected.items()}
        return {name: mask for name, mask in found.items() if mask is not None}

    def seen(self, step: int, given: Tensors, feed: Tensors, expected: Tensors, actual: Tensors) -> None:
        for side, inputs, outputs in (("reference", given, expected), ("candidate", feed, actual)):
            values = values_of(outputs, inputs, step, {**self._contract.symbols})
            for watch in self.watches:
                if watch.side == side:
                    watch.see(step, values, self._previous.get(side))
            self._previous[side] = values
        for message in self._contract.violations(step, given, actual):
            self.broken_contract.setdefault(message, f"at step {step}")
        self._actual = actual

    def dump_step(self, step: int, folder: Path, feed: Tensors, expected: Tensors, actual: Tensors) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        sides = (("input", feed), ("expected", expected), ("actual", actual))
        named: dict[str, Any] = {
            f"{side}.{name}": storable(np.asarray(array)) for side, arrays in sides for name, array in arrays.items()
        }
        np.savez(folder / f"step-{step:05d}.npz", **named)
        self.dumped += 1


def _parsed_reset(contract: Contract) -> InvariantExpression | None:
    from assay.runner.rules.expression import parse

    return parse(contract.reset) if contract.reset else None


def reference_steps(session: Any, batches: Sequence[Tensors], contract: Contract) -> Iterator[tuple[Tensors, Tensors]]:
    """(inputs, outputs) of the reference for each batch.

    Where batches leave the states out, they are its own, fed back.
    """
    states, reset = contract.state_inputs, _parsed_reset(contract)
    stream = session.open_stream({name: state.output for name, state in states.items()})
    last: Tensors = {}
    for batch in batches:
        inputs = dict(batch)
        missing = [name for name in states if name not in batch]
        if missing:
            again = not last or (reset is not None and reset.check(batch)[0])
            initial = contract.initial_states(batch)
            grows = {name for name in missing if not _fixed(contract, name)}
            for name in missing:
                state = states[name]
                old = initial[name] if again else last[state.output]
                inputs[name] = old if name in grows else fit(old, initial[name].shape, state.pad)
        stream.step(inputs)
        last = stream.outputs()
        yield inputs, last


def _fixed(contract: Contract, name: str) -> bool:
    """Whether every size of a state input is a number, or a symbol that other inputs or `symbols` fix for all steps."""
    free = {d for port in contract.outputs.values() for d in port.shape if isinstance(d, str)}
    mine = {d for d in contract.inputs[name].shape if isinstance(d, str)}
    others = {
        d for n, port in contract.inputs.items() if n != name and n not in contract.state_inputs for d in port.shape
    }
    return bool(contract.state_inputs[name].pad) or mine <= (others | free)
