"""The chain from exact arithmetic to what is shipped: which edge adds the error."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from assay.runner.parity.compare import tally
from assay.runner.parity.receipt import receipt
from assay.runner.parity.tally import Tally
from assay.runner.tensors import Array, Tensors


@dataclass(frozen=True, slots=True)
class Link:
    """One way to compute the outputs, or why it is not there."""

    name: str
    infer: Callable[[Tensors], Tensors] | None
    problem: str | None = None


def chain(links: Sequence[Link], steps: Sequence[Tensors]) -> Iterator[dict[str, Any]]:
    """An event for each edge and output: its error over the steps, and its share of all edges' squared errors.

    A link that fails is left out, and the edge that spans it says so. Shares are None where no edge adds anything.
    """
    results: list[tuple[str, list[Tensors], str | None]] = []
    skipped: str | None = None
    for link in links:
        try:
            if link.infer is None:
                raise RuntimeError(link.problem or "it is not there")  # noqa: TRY301  a failure like any
            made = [{name: np.asarray(array) for name, array in link.infer(step).items()} for step in steps]
        except Exception as error:  # noqa: BLE001  whatever a user's model raises: the others go on
            skipped = f"{link.name} is left out: {type(error).__name__}: {str(error)[:200]}"
            continue
        results.append((link.name, made, skipped))
        skipped = None
    edges = [
        (left[0], right[0], right[2] or (left[2] if left is results[0] else None), _errors(left[1], right[1]))
        for left, right in pairwise(results)
    ]
    totals: dict[str, float] = {}
    for *_, errors in edges:
        for output, (_, squares) in errors.items():
            totals[output] = totals.get(output, 0.0) + squares
    for position, (left, right, problem, errors) in enumerate(edges):
        for output, (made_receipt, squares) in errors.items():
            yield {
                "position": position,
                "edge_from": left,
                "edge_to": right,
                "output": output,
                "max_abs": made_receipt["max_abs"],
                "rel_l2": made_receipt["rel_l2"],
                "share": squares / totals[output] if totals[output] > 0 else None,
                "problem": problem,
            }


def _errors(left: Sequence[Tensors], right: Sequence[Tensors]) -> dict[str, tuple[dict[str, Any], float]]:
    """Receipt and sum of squared errors of each output that both sides have, over all steps."""
    found: dict[str, Tally] = {}
    for expected, actual in zip(left, right, strict=True):
        for name, array in expected.items():
            other = actual.get(name)
            if other is not None and other.shape == array.shape and array.dtype.kind in "fiub":
                found.setdefault(name, Tally()).merge(tally(_wide(array), _wide(other)))
    return {name: (receipt(whole, None), whole.sum_squared) for name, whole in found.items()}


def _wide(array: Array) -> Array:
    return array.astype(np.float64)
