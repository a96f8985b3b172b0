"""Judging stored receipts by another policy. Pure: receipts in, judgements out.

A receipt says how many elements broke the rule that was in force; for another rule that number is bounded by what the
receipt keeps (largest error, largest relative error, worst element, histogram). Where both bounds come to the same
verdict it stands; where they do not, the verdict is `unknown`, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from assay.runner.rules.policy import Judgement, Policy, Receipt, Resolved, judge_output

_LOWEST_EXPONENT = -51
"""Bin i of the histogram starts at 2^(i - 51); bin 1 at 0."""


def rejudge(policy: Policy, merged: Receipt, steps: Sequence[Receipt]) -> Judgement:
    """The verdict of a policy on a stored receipt and its steps."""
    tolerance = policy.for_output(str(merged["output"]))
    few, many = (
        judge_output(
            tolerance, _with_violations(merged, tolerance, end), [_with_violations(s, tolerance, end) for s in steps]
        )
        for end in (0, 1)
    )
    if few.outcome == many.outcome:
        return many if few.outcome == "fail" and not _exactly_known(merged, tolerance) else few
    low, high = violations_under(merged, tolerance)
    reason = (
        f"the receipt cannot tell: between {low} and {high} of {merged['elements']} elements are outside (run it again"
        " to know)"
    )
    return Judgement("unknown", reason, tolerance.words())


def _exactly_known(receipt: Receipt, tolerance: Resolved) -> bool:
    low, high = violations_under(receipt, tolerance)
    return low == high


def _with_violations(receipt: Receipt, tolerance: Resolved, end: int) -> Mapping[str, Any]:
    return {**receipt, "violations": violations_under(receipt, tolerance)[end]}


def violations_under(receipt: Receipt, tolerance: Resolved) -> tuple[int, int]:
    """Least and largest number of elements that break a rule, as far as the receipt tells.

    Equal bounds where the rule is the stored one, is exact, or is decided by the largest errors alone.
    """
    stored = (receipt["rule"], receipt["atol"], receipt["rtol"])
    if stored == (tolerance.rule, tolerance.atol, tolerance.rtol) or receipt["max_abs"] is None:
        return receipt["violations"], receipt["violations"]
    mismatches = receipt["nonfinite_mismatches"]
    if tolerance.rule == "exact":
        unequal = mismatches + sum(receipt["histogram"][1:])
        return unequal, unequal
    if receipt["max_abs"] <= tolerance.atol or receipt["max_rel"] <= tolerance.rtol:
        return mismatches, mismatches
    low, high = _beyond(receipt, tolerance)
    if (
        stored[0] == tolerance.rule
    ):  # a rule that is looser in both limits breaks no more elements, a stricter one no fewer
        if tolerance.atol >= stored[1] and tolerance.rtol >= stored[2]:
            high = min(high, receipt["violations"])
        if tolerance.atol <= stored[1] and tolerance.rtol <= stored[2]:
            low = max(low, receipt["violations"])
    return low, max(low, high)


def _beyond(receipt: Receipt, tolerance: Resolved) -> tuple[int, int]:
    """Bounds from the histogram of |error|, whose bins are octaves, and from the worst element."""
    mismatches = receipt["nonfinite_mismatches"]
    surely = possibly = 0
    for number, count in enumerate(receipt["histogram"][1:], 1):
        lower = 0.0 if number == 1 else 2.0 ** (number + _LOWEST_EXPONENT)
        upper = 2.0 ** (number + 1 + _LOWEST_EXPONENT) if number < len(receipt["histogram"]) - 1 else float("inf")
        possibly += count if upper > tolerance.atol else 0
        surely += count if lower > tolerance.atol else 0
    if tolerance.rtol > 0:  # an element with a large expected value may be allowed any error that the receipt knows of
        surely = 0
    finite_worst = not mismatches and receipt["worst_expected"] is not None
    if finite_worst:
        relative = tolerance.rtol * abs(receipt["worst_expected"])
        allowed = max(tolerance.atol, relative) if tolerance.rule == "either" else tolerance.atol + relative
        surely = max(surely, int(receipt["max_abs"] > allowed))
    return mismatches + surely, mismatches + possibly
