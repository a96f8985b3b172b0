"""Contracts from models, and models held against contracts."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from assay.runner.errors import UsageError, nearest
from assay.runner.rules.contract import Contract, load_contract
from assay.runner.rules.contract_json import guess_states
from assay.runner.rules.expression import CannotEvaluate, values_of
from assay.runner.tensors import Tensors, dtype_named, family_of, range_of
from assay.runner.worker.events.facts import PortsRead
from assay.runner.worker.job import PortsJob
from assay.runner.worker.process import Worker, WorkerFailed
from assay.runner.workloads import golden as goldens

_TIMEOUT_S = 120.0


def contract_of_model(model: str) -> Contract:
    """A contract to start from: ports as the model has them, and states that go by their names (`x_out` -> `x`).

    Raises:
        UsageError: there is no such file, suite or model, or it cannot be read or built.
    """
    path = Path(model)
    if path.suffix == ".onnx" or path.is_file():
        if not path.is_file():
            raise UsageError(f"ONNX file {path} is not there.")
        return _from_ports(path.stem, _ports(path))
    suite, colon, name = model.rpartition(":")
    if not colon:
        raise UsageError(f"{model!r} is neither an ONNX file nor SUITE:MODEL.")
    return _from_ports(name, _ports_of_suite_model(suite, name))


def _ports(path: Path) -> dict[str, Any]:
    try:
        with Worker(PortsJob(onnx=str(path.absolute())), python=None, timeout_s=_TIMEOUT_S) as worker:
            return worker.until(PortsRead).facts()
    except WorkerFailed as failure:
        raise UsageError(failure.message) from None


def _ports_of_suite_model(suite_name: str, name: str) -> dict[str, Any]:
    """Build the model's own export, in a store that is thrown away, and read its ports."""
    from assay.runner.run.prepare import prepare
    from assay.runner.suites.case import expand
    from assay.runner.suites.suite import find_suite, load_suite
    from assay.schema.store.database import Store

    path = find_suite(suite_name)
    suite = load_suite(path)
    cases = [
        c
        for c in expand(suite)
        if c.model == name and c.golden is None and c.choice.kind != "pytorch" and c.files.fake is None
    ]
    if not cases:
        raise UsageError(f"suite {suite_name!r} makes no artifact of a model {name!r}.{nearest(name, suite.model)}")
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare(suite, path.parent.absolute(), Store(Path(folder) / "assay.duckdb"), cases[:1])
        if failure := prepared.failure_for(cases[0]):
            raise UsageError(f"model {name!r} cannot be built: {failure.message}")
        return _ports(Path(prepared.artifacts[cases[0].variant]["path"]))


def _from_ports(name: str, found: dict[str, Any]) -> Contract:
    """A contract has tensors: sequences and maps, whose sizes nothing says, are left out of it."""
    found = {
        side: {port: facts for port, facts in found[side].items() if facts["dtype"] and "(" not in facts["dtype"]}
        for side in ("inputs", "outputs")
    }
    states = guess_states(found["inputs"], found["outputs"])
    symbols = {
        d
        for side in ("inputs", "outputs")
        for port in found[side].values()
        for d in port["shape"]
        if isinstance(d, str)
    }
    floats = [out for out, port in found["outputs"].items() if port["dtype"].startswith("float")]
    return Contract.model_validate(
        {
            "model": name,
            "inputs": found["inputs"],
            "outputs": found["outputs"],
            "symbols": dict.fromkeys(sorted(symbols), 1) if states else {},
            "state": [{"output": out, "input": into} for out, into in states],
            "invariants": [f"finite({out})" for out in floats if out.isidentifier()],
        }
    )


def disagreements(contract_path: Path, model: str | None, folder: Path, golden: str | None) -> list[str]:
    """Where a contract and a model, or recorded steps, say different things; empty when they agree.

    Raises:
        UsageError: one of them cannot be read.
    """
    contract = load_contract(contract_path)
    problems: list[str] = []
    if model is not None:
        theirs = contract_of_model(model)
        for side in ("inputs", "outputs"):
            problems += _port_problems(side[:-1], getattr(contract, side), getattr(theirs, side))
        problems += state_problems(contract, theirs)
    if golden is not None:
        problems += _step_problems(contract, goldens.read(folder, golden))
    return problems


def _port_problems(side: str, ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    problems = [f"the model has no {side} {name!r}.{nearest(name, theirs)}" for name in ours if name not in theirs]
    problems += [
        f"the model has {side} {name!r}, the contract does not" for name in theirs if ours and name not in ours
    ]
    for name, port in ours.items():
        other = theirs.get(name)
        if other is None:
            continue
        if port.dtype != other.dtype:
            problems.append(f"{side} {name!r} is {other.dtype} in the model, {port.dtype} in the contract")
        if port.shape and len(port.shape) != len(other.shape):
            problems.append(
                f"{side} {name!r} has {len(other.shape)} axes in the model, {len(port.shape)} in the contract"
            )
        elif port.shape:
            pairs = zip(port.shape, other.shape, strict=True)
            if any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in pairs):
                problems.append(
                    f"{side} {name!r} is {list(other.shape)} in the model, {list(port.shape)} in the contract"
                )
    return problems


def state_problems(contract: Contract, model: Contract) -> list[str]:
    """Where the states of a contract are not what the model gives and takes: names, dtypes, shapes, initial values."""
    problems: list[str] = []
    for state in contract.state:
        said = f"state {state.output!r} -> {state.input!r}"
        given, taken = model.outputs.get(state.output), model.inputs.get(state.input)
        if given is None:
            problems.append(
                f"{said}: the model gives no output {state.output!r}.{nearest(state.output, model.outputs)}"
            )
        if taken is None:
            problems.append(f"{said}: the model takes no input {state.input!r}.{nearest(state.input, model.inputs)}")
        if taken is not None and (why := _no_value_of(state.initial, taken.dtype)):
            problems.append(f"{said}: initial = {state.initial:g} {why}")
        if given is None or taken is None:
            continue
        if given.dtype != taken.dtype:
            problems.append(f"{said}: the output is {given.dtype}, the input {taken.dtype}")
        if len(given.shape) != len(taken.shape):
            problems.append(f"{said}: the output has {len(given.shape)} axes, the input {len(taken.shape)}")
            continue
        padded = None if state.pad is None else state.pad.axis % max(len(taken.shape), 1)
        problems += [
            f"{said}: axis {axis} is {gives} in the output and {takes} in the input, and no pad brings it there"
            for axis, (gives, takes) in enumerate(zip(given.shape, taken.shape, strict=True))
            if isinstance(gives, int) and isinstance(takes, int) and gives != takes and axis != padded
        ]
    return problems


def _no_value_of(value: float, name: str) -> str | None:
    """Why a number is no value of a dtype; None where it is one."""
    try:
        dtype = dtype_named(name)
        family = family_of(dtype)
    except ValueError:
        return f"cannot begin a state of {name}"
    if family == "complex":
        return None
    if family in ("bool", "integer"):
        least, most = range_of(dtype)
        whole = math.isfinite(value) and value == int(value)
        return None if whole and least <= value <= most else f"is no {name}, which the model takes"
    beyond = math.isfinite(value) and not range_of(dtype)[0] <= value <= range_of(dtype)[1]
    return f"is beyond {name}, which the model takes" if beyond else None


def _step_problems(contract: Contract, recorded: goldens.Golden) -> list[str]:
    problems: dict[str, str] = {}
    previous = None
    for step in range(len(recorded.steps)):
        inputs, outputs = recorded.inputs(step), recorded.outputs(step)
        for message in contract.violations(step, inputs, outputs):
            problems.setdefault(message, f"golden {recorded.name!r}, step {step}: {message}")
        for message in _state_values(contract, step, inputs):
            problems.setdefault(message, f"golden {recorded.name!r}, step {step}: {message}")
        values = values_of(outputs, inputs, step, contract.symbols)
        for invariant in contract.parsed:
            try:
                holds, seen = invariant.check(values, previous)
            except CannotEvaluate as problem:
                holds, seen = previous is None and "previous." in invariant.text, str(problem)
            if not holds:
                problems.setdefault(
                    invariant.text, f"golden {recorded.name!r}, step {step}: {invariant.text} is broken: {seen}"
                )
        previous = values
    return [*problems.values()]


def _state_values(contract: Contract, step: int, inputs: Tensors) -> list[str]:
    """States of the first recorded step that do not begin as the contract says."""
    if step:
        return []
    return [
        f"state {state.input!r} does not begin with {state.initial:g} everywhere"
        for state in contract.state
        if state.input in inputs and not np.all(np.asarray(inputs[state.input]) == state.initial)
    ]
