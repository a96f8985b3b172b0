"""Receipts of a case: one for each output and step, and one for each output over all steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from assay.runner.parity.compare import can_compile, tally
from assay.runner.parity.pairs import going_on, in_pairs
from assay.runner.parity.receipt import empty_receipt, receipt
from assay.runner.parity.tally import Tally
from assay.runner.rules.policy import Policy, Resolved
from assay.runner.tensors import Array, Tensors, dtype_name

ALL_STEPS = -1
_MANY_ELEMENTS = 1 << 25


class OutputComparison:
    """Receipts of one case: one for each output and step, then one for each output over all steps."""

    def __init__(self, policy: Policy, rename: Mapping[str, str]) -> None:
        self._policy = policy
        self._rename = rename
        self._tallies: dict[str, Tally] = {}
        self._firsts: dict[str, dict[str, Any]] = {}
        self._problems: dict[str, str] = {}
        self._elements = 0

    def step(
        self, number: int, expected: Tensors, actual: Tensors, masks: Mapping[str, Array] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Receipts of one step; a mask (by output, True where it counts) leaves the rest out."""
        renamed = self._match({self._rename.get(name, name): array for name, array in actual.items()}, expected)
        for name, problem in going_on(expected, renamed).items():
            self._problems.setdefault(name, f"step {number}: {problem}")
        expected, renamed, masks = in_pairs(expected, renamed, masks or {})
        for name, right in expected.items():
            yield self._compare(number, name, right, renamed.get(name), actual, (masks or {}).get(name))

    def _match(self, actual: Tensors, expected: Tensors) -> Tensors:
        """With one output on each side, the name does not matter."""
        if len(actual) == len(expected) == 1:
            return dict(zip(expected, actual.values(), strict=True))
        return actual

    def _compare(
        self, step: int, name: str, right: Array, candidate: Array | None, actual: Tensors, mask: Array | None
    ) -> dict[str, Any]:
        tolerance = self._policy.for_output(name)
        whole = self._tallies.setdefault(name, Tally())
        facts = {
            "output": name,
            "step": step,
            "rule": tolerance.rule,
            "atol": tolerance.atol,
            "rtol": tolerance.rtol,
            "expected_dtype": dtype_name(right),
            "actual_dtype": None if candidate is None else dtype_name(candidate),
            "shape": list(right.shape),
            "problem": None,
        }
        self._firsts.setdefault(name, facts)
        if candidate is None:
            problem = f"output {name!r} is missing: the candidate has {', '.join(actual)} (map names with `rename`)"
            return self._problem(facts, problem)
        if facts["actual_dtype"] != self._firsts[name]["actual_dtype"]:
            return self._problem(facts, f"dtype changed to {facts['actual_dtype']} at step {step}")
        try:
            part = self._tally(right, candidate, mask, tolerance)
        except ValueError as error:
            return self._problem(facts, str(error))
        made = {**facts, **receipt(part, right.shape)}
        self._note_places(whole, part, step, made)
        whole.merge(part)
        return made

    def _tally(self, right: Array, candidate: Any, mask: Array | None, tolerance: Resolved) -> Tally:
        """On the device where the candidate lies on one and can be compared there, else on the host."""
        rules: dict[str, Any] = {
            "rule": tolerance.rule,
            "atol": tolerance.atol,
            "rtol": tolerance.rtol,
            "nan_equal": tolerance.nan_equal,
            "mask": mask,
        }
        on_device = getattr(candidate, "tally_against", None)
        found: Tally | None = on_device(right, **rules) if on_device else None
        if found is not None:
            return found
        return tally(right, np.asarray(candidate), compiled=True if self._many(right.size) else None, **rules)

    def _many(self, more: int) -> bool:
        """Whether so much has been compared that the compiled kernel pays for small arrays too.

        It depends on the case alone: the same case gives the same last digit wherever it runs.
        """
        self._elements += more
        return self._elements > _MANY_ELEMENTS and can_compile()

    def _note_places(self, whole: Tally, part: Tally, step: int, made: dict[str, Any]) -> None:
        """Positions of the merged receipt start with the step they are in."""
        first = self._firsts[str(made["output"])]
        mismatch_is_new = whole.first_mismatch < 0 <= part.first_mismatch
        larger = whole.first_mismatch < 0 and part.first_mismatch < 0 and part.max_abs > whole.max_abs
        if mismatch_is_new or larger:
            first["worst_index"] = [step, *made["worst_index"]]
        if whole.first_failing < 0 <= part.first_failing:
            first["first_failing_index"] = [step, *made["first_failing_index"]]

    def _problem(self, facts: dict[str, Any], problem: str) -> dict[str, Any]:
        self._problems.setdefault(str(facts["output"]), f"step {facts['step']}: {problem}")
        return {**facts, **empty_receipt(), "problem": problem}

    def merged(self) -> Iterator[dict[str, Any]]:
        for name, whole in self._tallies.items():
            first = self._firsts[name]
            yield {
                **receipt(whole, None),
                **first,
                "step": ALL_STEPS,
                "shape": None,
                "problem": self._problems.get(name),
                "worst_index": first.get("worst_index"),
                "first_failing_index": first.get("first_failing_index"),
            }
