"""What recorded steps never exercised: inputs that stood still, states that never filled, classes that never came."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from assay.runner.parity.perturb import family, wide
from assay.runner.parity.steps import Steps
from assay.runner.rules.contract import Contract, State
from assay.runner.tensors import Array

_LOOKED_AT = 8
"""Steps whose states are read; the last is always one of them."""
_SHORT = 24
"""Characters of a value that a message repeats."""
_HALF = 0.5
Note = tuple[str, str, str]
"""Kind, subject, message."""


def never_varied(recorded: Steps, contract: Contract) -> Iterator[Note]:
    """Inputs that are no states and have one value at every step; from the index, one array read for each.

    Of a single step, those whose elements are all one value.
    """
    count = len(recorded.steps)
    if not count:
        return
    for name, entry in recorded.steps[0]["inputs"].items():
        if name in contract.state_inputs or any(step["inputs"].get(name) != entry for step in recorded.steps):
            continue
        value = _only_value(recorded.inputs(0)[name])
        if value is not None:
            yield "input_never_varied", name, f"{name!r} is {value} in {count} of {count} steps"
        elif count > 1:
            yield "input_never_varied", name, f"{name!r} is the same array in {count} of {count} steps"


def _only_value(array: Array) -> str | None:
    """The value of an array that has only one; None of any other."""
    if not array.size:
        return None
    first = array.reshape(-1)[0]
    alike = array == first
    return str(first)[:_SHORT] if np.all(alike) else None


def never_filled(recorded: Steps, contract: Contract) -> Iterator[Note]:
    """States that the steps never filled.

    A counter below the bound that an invariant sets for it, an axis that a profile lets grow further, a cache of which
    one end is what it was before the first step.
    """
    count = len(recorded.steps)
    steps = sorted({round(i * (count - 1) / (_LOOKED_AT - 1)) for i in range(_LOOKED_AT)}) if count else []
    outputs = [recorded.outputs(step) for step in steps]
    for state in contract.state:
        arrays = [step[state.output] for step in outputs if state.output in step]
        message = _counts(state, contract, arrays) or _grows(state, contract, recorded) or _holds(state, arrays)
        if message:
            yield "state_never_filled", state.input, f"state {state.input!r} {message} in {count} steps"


def _counts(state: State, contract: Contract, arrays: Sequence[Array]) -> str | None:
    """How far a counter came, where an invariant `NAME <= NUMBER` bounds it."""
    pattern = re.compile(rf"\b(?:{re.escape(state.output)}|{re.escape(state.input)})\s*<=?\s*(\d+)\s*$")
    bounds = [int(found.group(1)) for text in contract.invariants if (found := pattern.search(text))]
    numbers = [wide(a) for a in arrays if a.size and family(a) == "integer"]
    if not bounds or not numbers:
        return None
    reached = max(int(a.max()) for a in numbers)
    return f"counted to {reached} of {min(bounds)}" if reached < min(bounds) else None


def _grows(state: State, contract: Contract, recorded: Steps) -> str | None:
    """How long a growing state became, where a profile says how long it may."""
    port = contract.inputs.get(state.input)
    for axis, symbol in enumerate(port.shape if port else ()):
        largest = [p.symbols[symbol] for p in contract.profile.values() if symbol in p.symbols]
        sizes = [step["inputs"][state.input]["shape"][axis] for step in recorded.steps if state.input in step["inputs"]]
        most = max((bound if isinstance(bound, int) else bound[2] for bound in largest), default=0)
        if isinstance(symbol, str) and len(set(sizes)) > 1 and max(sizes) < most:
            return f"grew to {max(sizes)} of {most} along {symbol!r}"
    return None


def _holds(state: State, arrays: Sequence[Array]) -> str | None:
    """How much of a cache was ever written, where it fills along an axis from one end."""
    if not arrays or len({a.shape for a in arrays}) > 1 or arrays[0].ndim < 2:
        return None
    written = np.zeros(arrays[0].shape, bool)
    for array in arrays:
        written |= array != state.initial
    for axis in range(written.ndim):
        along = written.any(axis=tuple(i for i in range(written.ndim) if i != axis))
        used = np.flatnonzero(along)
        at_an_end = used.size == 0 or (
            used[-1] - used[0] + 1 == used.size and (used[0] == 0 or used[-1] == along.size - 1)
        )
        if along.size > 1 and used.size < along.size and at_an_end:
            return f"held {used.size} of {along.size} entries along axis {axis}"
    return None


def few_classes(name: str, labels: Iterable[Array], classes: int | None) -> Iterator[Note]:
    """Calibration labels (whole numbers, negative for none) that cover no more than half of what they could.

    `classes` is how many there are; None: as many as the largest label says, and two at least.
    """
    arrays = [wide(array).reshape(-1) for array in labels if family(array) == "integer" and array.size]
    if not arrays:
        return
    values = np.concatenate(arrays)
    found, counts = np.unique(values[values >= 0], return_counts=True)
    among = classes or max(2, int(found.max(initial=0)) + 1)
    if found.size and found.size <= _HALF * min(among, int(counts.sum())):
        said = f"class {found[0]} alone" if found.size == 1 else f"classes {', '.join(str(c) for c in found[:5])}"
        message = f"labels of calibration data {name!r} cover {found.size} of {among} classes: {said}"
        yield "few_classes", name, f"{message}, {int(counts.sum())} labels in all"


def other_version(name: str, facts: dict[str, Any], model: str, version: str) -> Iterator[Note]:
    """A golden that was recorded from another version than the one that is held against it, or from another model."""
    of_model, of_version = facts.get("model"), facts.get("version")
    if of_model is not None and of_model != model:
        yield (
            "golden_of_other_version",
            name,
            f"golden {name!r} was recorded from model {of_model!r}, and is held against {model!r}",
        )
    elif of_version is not None and of_version != version:
        yield (
            "golden_of_other_version",
            name,
            f"golden {name!r} was recorded from version {of_version}, and is held against version {version}",
        )


def came_in_training(changed: Sequence[str]) -> Iterator[Note]:
    """A module that came in training mode, of which evaluation mode changes some parts."""
    if changed:
        message = (
            f"the module came in training mode, and eval() changes {len(changed)} of its parts"
            f" ({', '.join(changed[:3])}): what is compared is not what it computes as it comes"
        )
        yield "eval_changed", changed[0], message
