"""Questions that a comparison alone cannot answer.

Does the model say the same thing twice, and do its inputs reach its outputs? Whether it is right at other sizes than
those that it was traced at is asked by `assay.runner.parity.sizes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from assay.runner.parity.perturb import family, others, same
from assay.runner.rules.contract import Contract
from assay.runner.tensors import Array, Tensors

_TRIED_STEPS = 3


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


def reach(session: Infers, recorded: list[Tensors]) -> Reach:
    """Perturb every input alone, at some recorded steps, and see what moves.

    Each input takes the values of `assay.runner.parity.perturb.others`, one after the other, until it has moved
    something and every output has been moved by some input. A perturbation that the model refuses says nothing; an
    input of which one was refused and none moved anything is not tried at that step, nor is one of which no other value
    is known.
    """
    found = Reach()
    at = sorted({0, len(recorded) // 2, len(recorded) - 1})[:_TRIED_STEPS]
    for step in at:
        inputs = recorded[step]
        calm = session.infer(inputs)
        found.steps += 1
        for output, array in calm.items():
            spread = _spread(array)
            found.ranges[output] = max(found.ranges.get(output, 0.0), spread)
        for name, array in inputs.items():
            elsewhere = [other[name] for other in recorded[step + 1 :] + recorded[:step] if name in other]
            still = set(calm) - {output for (_, output), distance in found.moved.items() if distance}
            moved = _moved(session, inputs, calm, name, others(array, elsewhere, step), still)
            found.tried |= {name} if moved else set()
            for output, distance in moved.items():
                key = (name, output)
                found.moved[key] = max(found.moved.get(key, 0.0), distance)
    return found


def _moved(
    session: Infers, inputs: Tensors, calm: Tensors, name: str, candidates: Iterable[Array], still: set[str]
) -> dict[str, float]:
    """Output -> largest |change| while one input takes other values; empty where nothing is known of it.

    `still` are the outputs that nothing has moved so far.
    """
    moved: dict[str, float] = {}
    refused = False
    for other in candidates:
        try:
            answer = session.infer({**inputs, name: other})
        except Exception:  # noqa: BLE001  whatever a user's module raises at values that it does not take
            refused = True
            continue
        for output, right in calm.items():
            moved[output] = max(moved.get(output, 0.0), _distance(right, answer.get(output)))
        if any(moved.values()) and all(moved[output] for output in still):
            break
    return {} if refused and not any(moved.values()) else moved


def _spread(array: Array) -> float:
    if array.size == 0 or family(array) not in ("float", "integer", "bool"):
        return 0.0
    values = array.astype(np.float64)
    values = values[np.isfinite(values)]
    return float(values.max() - values.min()) if values.size else 0.0


def _distance(right: Array, moved: Array | None) -> float:
    """Largest |change|; infinite where the shape, a text, or what is finite, NaN or of which infinity changes."""
    if moved is None or moved.shape != right.shape:
        return np.inf
    if right.size == 0:
        return 0.0
    if family(right) in ("text", "other") or family(moved) != family(right):
        return 0.0 if np.array_equal(right, moved) else np.inf
    x, y = (a.astype(np.complex128 if family(right) == "complex" else np.float64) for a in (right, moved))
    finite = np.isfinite(x)
    if not np.array_equal(finite, np.isfinite(y)) or not same(x[~finite], y[~finite]):
        return np.inf
    return float(np.abs(x[finite] - y[finite]).max(initial=0.0))


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
