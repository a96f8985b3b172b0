"""Ports that were exchanged: two outputs each of which is what the other should be, or two inputs likewise.

Same shape and type, so nothing else tells them apart; the numbers do. It is a name to correct, not a node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from assay.runner.parity.comparison import OutputComparison
from assay.runner.rules.policy import Policy
from assay.runner.tensors import Array, Tensors, dtype_name

_MOST_PAIRS = 10


@dataclass(frozen=True, slots=True)
class Exchanged:
    """Two ports whose names are exchanged."""

    side: str
    """`outputs` or `inputs`."""
    first: str
    second: str

    @property
    def kind(self) -> str:
        return f"exchanged_{self.side}"

    def __str__(self) -> str:
        key = "rename" if self.side == "outputs" else "rename_inputs"
        what = "each is what the other should be" if self.side == "outputs" else "fed crosswise, every output is right"
        return (
            f"{self.side} {self.first!r} and {self.second!r} are exchanged: {what}. Correct the file, or set"
            f' {key} = {{ {self.first} = "{self.second}", {self.second} = "{self.first}" }}'
        )


def outputs(
    expected: Sequence[Tensors], actual: Sequence[Tensors], failing: Sequence[str], policy: Policy
) -> Iterator[Exchanged]:
    """Pairs of failing outputs that pass crosswise, in every step given, and are not the same anyway."""
    for a, b in _pairs(expected[0] if expected else {}, failing):
        if all(np.array_equal(step[a], step[b], equal_nan=step[a].dtype.kind == "f") for step in expected):
            continue
        turned = [{**step, a: step[b], b: step[a]} if a in step and b in step else step for step in actual]
        if _pass(expected, turned, (a, b), policy):
            yield Exchanged("outputs", a, b)


def inputs(
    given: Sequence[Tensors], expected: Sequence[Tensors], infer: Callable[[Tensors], Tensors], policy: Policy
) -> Iterator[Exchanged]:
    """Pairs of inputs with which, fed crosswise, every output passes in every step given; the model runs for each."""
    for a, b in _pairs(given[0] if given else {}, list(given[0] if given else ())):
        if all(np.array_equal(step[a], step[b]) for step in given):
            continue
        turned: list[Tensors] = []
        with suppress(Exception):  # a model may refuse what it never saw: then they are not exchanged
            turned = [infer({**step, a: step[b], b: step[a]}) for step in given]
        if turned and _pass(expected, turned, list(expected[0]), policy):
            yield Exchanged("inputs", a, b)


def _pairs(known: Tensors, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    alike = [(a, b) for a, b in combinations(names, 2) if a in known and b in known and _alike(known[a], known[b])]
    yield from alike[:_MOST_PAIRS]


def _alike(one: Array, other: Array) -> bool:
    return one.shape == other.shape and dtype_name(one) == dtype_name(other) and one.size > 0


def _pass(expected: Sequence[Tensors], actual: Sequence[Tensors], names: Sequence[str], policy: Policy) -> bool:
    compared = OutputComparison(policy, {})
    receipts = [
        receipt
        for number, (right, candidate) in enumerate(zip(expected, actual, strict=True))
        for receipt in compared.step(number, {n: right[n] for n in names}, candidate)
    ]
    return bool(receipts) and all(r["elements"] and not r["violations"] and not r["problem"] for r in receipts)
