"""Receipts of a case: one for each output and step, and one for each output over all steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from assay.runner.parity.compare import can_compile
from assay.runner.parity.judged import Compared, compared
from assay.runner.parity.pairing import Sides
from assay.runner.parity.pairs import going_on, in_pairs
from assay.runner.parity.receipt import empty_receipt, receipt
from assay.runner.parity.tally import Tally
from assay.runner.rules.agreement import detail
from assay.runner.rules.policy import Policy
from assay.runner.rules.tolerance import Resolved
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
        self._counts: dict[str, dict[str, int]] = {}
        self._within: dict[str, str] = {}
        self._elements = 0

    def step(
        self, number: int, expected: Tensors, actual: Tensors, masks: Mapping[str, Array] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Receipts of one step; a mask (by output, True where it counts) leaves the rest out."""
        renamed = self._match({self._rename.get(name, name): array for name, array in actual.items()}, expected)
        for name, problem in going_on(expected, renamed).items():
            self._problems.setdefault(name, f"step {number}: {problem}")
        expected, renamed, masks = in_pairs(expected, renamed, masks or {})
        sides = Sides(self._policy, expected, renamed)
        for name in expected:
            yield self._compare(number, name, sides, actual, (masks or {}).get(name))

    def _match(self, actual: Tensors, expected: Tensors) -> Tensors:
        """With one output on each side, the name does not matter."""
        if len(actual) == len(expected) == 1:
            return dict(zip(expected, actual.values(), strict=True))
        return actual

    def _compare(self, step: int, name: str, sides: Sides, actual: Tensors, mask: Array | None) -> dict[str, Any]:
        right, candidate = sides.expected[name], sides.actual.get(name)
        tolerance = self._policy.for_output(name, dtype_name(right))
        whole = self._tallies.setdefault(name, Tally())
        facts = {
            "output": name,
            "step": step,
            "rule": tolerance.recorded_rule,
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
            found = compared(name, tolerance, sides, mask, compiled=True if self._many(right.size) else None)
        except ValueError as error:
            return self._problem(facts, str(error))
        made = {**facts, **receipt(found.tally, right.shape)}
        if "worst_pair" not in made:  # a text's receipt has its own
            made["worst_pair"] = found.exact_pair(made["worst_index"])
        made["detail"] = detail(tolerance.rule, found.counts, found.within)
        self._note_places(whole, found.tally, step, made)
        whole.merge(found.tally)
        self._firsts[name]["detail"] = self._counted(name, tolerance, found)
        return made

    def _counted(self, name: str, tolerance: Resolved, found: Compared) -> str | None:
        """The words for what was counted in all steps so far."""
        total = self._counts.setdefault(name, {})
        for key, number in found.counts.items():
            total[key] = total.get(key, 0) + number
        self._within[name] = found.within or self._within.get(name, "")
        return detail(tolerance.rule, total, self._within[name])

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
            first["worst_index"], first["worst_pair"] = [step, *made["worst_index"]], made["worst_pair"]
        if whole.first_failing < 0 <= part.first_failing:
            first["first_failing_index"] = [step, *(made["first_failing_index"] or [])]

    def _problem(self, facts: dict[str, Any], problem: str) -> dict[str, Any]:
        self._problems.setdefault(str(facts["output"]), f"step {facts['step']}: {problem}")
        return {**facts, **empty_receipt(), "problem": problem, "worst_pair": None, "detail": None}

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
                "worst_pair": first.get("worst_pair"),
                "detail": first.get("detail"),
            }
