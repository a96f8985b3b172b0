"""Questions that a comparison alone cannot answer.

Does the model say the same thing twice, do its inputs reach its outputs, and is it right at other lengths than the one
it was traced at?
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from assay.runner.parity.pairs import as_pairs
from assay.runner.rules.contract import Contract
from assay.runner.tensors import Array, Tensors, is_text

_TRIED_STEPS = 3
_MAX_BYTES = 1 << 30
"""Inputs of a length probe are not made larger than this."""


class Infers(Protocol):
    def infer(self, inputs: Tensors) -> Tensors: ...


def repeat(session: Infers, inputs: Tensors) -> tuple[Tensors, Tensors]:
    """Outputs of the same inputs, twice."""
    first = {name: array.copy() for name, array in session.infer(inputs).items()}
    return first, session.infer(inputs)


@dataclass(slots=True)
class Reach:
    """How far each output moves when an input is perturbed, over the steps where it was tried."""

    moved: dict[tuple[str, str], float] = field(default_factory=dict)
    """(input, output) -> largest |change|."""
    ranges: dict[str, float] = field(default_factory=dict)
    """Output -> largest range of its values."""
    steps: int = 0
    tried: set[str] = field(default_factory=set)

    def events(self, side: str, states: Iterable[str]) -> Iterator[dict[str, Any]]:
        known = set(states)
        for (name, output), moved in self.moved.items():
            spread = self.ranges.get(output, 0.0)
            yield {
                "side": side,
                "input": name,
                "is_state": name in known,
                "output": output,
                "steps": self.steps,
                "moved": moved,
                "relative": moved / spread if spread else None,
            }


def reach(session: Infers, recorded: list[Tensors], contract: Contract) -> Reach:
    """Perturb every input alone, at some recorded steps, and see what moves.

    A float array gets noise as large as its own spread (1 where it is constant), drawn once for each step and input. An
    integer array is replaced by its value at another step, or, for a state, by half of it; one that never changes is
    not tried. An input whose perturbation the model refuses is not tried at that step.
    """
    found = Reach()
    at = sorted({0, len(recorded) // 2, len(recorded) - 1})[:_TRIED_STEPS]
    states = contract.state_inputs
    for step in at:
        inputs = recorded[step]
        calm = session.infer(inputs)
        found.steps += 1
        for output, array in calm.items():
            spread = _spread(array)
            found.ranges[output] = max(found.ranges.get(output, 0.0), spread)
        for name, array in inputs.items():
            other = _perturbed(array, name, step, recorded, is_state=name in states)
            if other is None:
                continue
            try:
                moved = session.infer({**inputs, name: other})
            except ValueError:
                continue
            found.tried.add(name)
            for output, right in calm.items():
                key = (name, output)
                found.moved[key] = max(found.moved.get(key, 0.0), _distance(right, moved.get(output)))
    return found


def _perturbed(array: Array, name: str, step: int, recorded: list[Tensors], *, is_state: bool) -> Array | None:
    if array.size == 0:
        return None
    if array.dtype.kind == "f" or array.dtype.name == "bfloat16":
        values = array.astype(np.float64)
        spread = float(values.std()) if np.isfinite(values).all() else 0.0
        noise = np.random.default_rng(step).standard_normal(array.shape) * (spread or 1.0)
        return (values + noise).astype(array.dtype)
    for other in recorded[step + 1 :] + recorded[:step]:
        candidate = other.get(name)
        if candidate is not None and candidate.shape == array.shape and not np.array_equal(candidate, array):
            return candidate
    if is_state and array.dtype.kind in "iu" and array.any():
        return array // 2
    return None


def _spread(array: Array) -> float:
    if array.size == 0 or array.dtype.kind not in "fiub":
        return 0.0
    values = array.astype(np.float64)
    values = values[np.isfinite(values)]
    return float(values.max() - values.min()) if values.size else 0.0


def _distance(right: Array, moved: Array | None) -> float:
    """Largest |change|; infinite where the shape, or what is finite, changes."""
    if moved is None or moved.shape != right.shape:
        return np.inf
    if right.size == 0:
        return 0.0
    if is_text(right) or is_text(moved):
        return 0.0 if np.array_equal(right, moved) else np.inf
    if right.dtype.kind == "c" and moved.dtype.kind == "c":
        right, moved = as_pairs(right), as_pairs(moved)
    x, y = right.astype(np.float64), moved.astype(np.float64)
    if not np.array_equal(np.isfinite(x), np.isfinite(y)):
        return np.inf
    with np.errstate(invalid="ignore"):
        return float(np.nan_to_num(np.abs(x - y), nan=0.0).max())


def live_states(moved: Mapping[tuple[str, str], float], contract: Contract) -> set[str]:
    """State inputs that reach an output which is no state, directly or through another state that does."""
    states = contract.state_inputs
    fed = {state.output: name for name, state in states.items()}
    live: set[str] = set()
    while True:
        more = {
            name
            for (name, output), distance in moved.items()
            if name in states and name not in live and distance > 0 and (fed[output] in live if output in fed else True)
        }
        if not more:
            return live
        live |= more


def lengths(
    example: Tensors, axes: Mapping[str, Mapping[int, str]], contract: Contract
) -> Iterator[tuple[str, Tensors]]:
    """The example at other sizes of each dynamic axis: (which, inputs), twice as long and half as long.

    Axes with one symbol change together; sizes that a profile of the contract rules out are left out.
    """
    symbols: dict[str, list[tuple[str, int]]] = {}
    for name, by_axis in axes.items():
        for axis, symbol in by_axis.items():
            if name in example and axis < example[name].ndim:
                symbols.setdefault(symbol, []).append((name, axis))
    for symbol, places in symbols.items():
        size = example[places[0][0]].shape[places[0][1]]
        if any(example[name].shape[axis] != size for name, axis in places):
            continue  # one name for different sizes: the graph's names cannot be trusted here
        named = _contract_symbol(contract, *places[0])
        profiles = [p for p in contract.profile.values() if named in p.symbols]
        for other in dict.fromkeys((size * 2, max(1, size // 2))):
            if other == size or (profiles and not any(p.allows(named, other) for p in profiles)):
                continue
            grown = sum(example[name].nbytes for name, _ in places) * other // max(size, 1)
            if grown <= _MAX_BYTES and size:
                made = dict(example)
                for name, axis in places:
                    made[name] = _resized(made[name], axis, other)
                yield f"{symbol}={other} (traced at {size})", made


def _contract_symbol(contract: Contract, name: str, axis: int) -> str:
    port = contract.inputs.get(name)
    dimension = port.shape[axis] if port and axis < len(port.shape) else ""
    return dimension if isinstance(dimension, str) else ""


def _resized(array: Array, axis: int, size: int) -> Array:
    """The array cut, or continued from its start, along one axis."""
    return np.ascontiguousarray(np.take(array, np.arange(size) % array.shape[axis], axis=axis))
