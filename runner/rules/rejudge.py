"""Judging stored receipts by another policy. Pure: receipts in, judgements out.

A receipt says how many elements broke the rule that was in force; for another rule that number is bounded by what the
receipt keeps (largest error, largest relative error, worst element, histogram). Where both bounds come to the same
verdict it stands; where they do not, the verdict is `unknown`, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from assay.runner.rules.policy import Judgement, Policy, Receipt, judge_output
from assay.runner.rules.tolerance import FIELD_RULES, LIMITS, Resolved

_LOWEST_EXPONENT = -51
"""Bin i of the histogram starts at 2^(i - 51); bin 1 at 0."""


def rejudge(policy: Policy, merged: Receipt, steps: Sequence[Receipt]) -> Judgement:
    """The verdict of a policy on a stored receipt and its steps.

    A rule of the field (order, set, angle, boxes, tokens) pairs elements before it compares them, and a receipt keeps
    the outcome of one pairing: under another it is `unknown`, unless nothing differed at all.
    """
    tolerance = policy.for_output(str(merged["output"]), merged["expected_dtype"])
    if not merged["problem"] and not _same_pairing(merged, tolerance):
        reason = (
            f"the receipt was made under {merged['rule']!r} and does not say what {tolerance.recorded_rule!r} would"
            " find (run it again to know)"
        )
        return Judgement("unknown", reason, tolerance.words())
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


def _same_pairing(receipt: Receipt, tolerance: Resolved) -> bool:
    """Whether the receipt's figures are of the pairs that the tolerance asks about."""
    stored = receipt["rule"]
    if stored == tolerance.recorded_rule or not receipt["elements"]:
        return True
    if tolerance.rule in FIELD_RULES or str(stored).partition(" ")[0] in FIELD_RULES:
        nothing_differed = receipt["max_abs"] == 0 and not receipt["violations"]
        return nothing_differed and str(stored).partition(" ")[0] not in FIELD_RULES
    return True


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
    if stored == (tolerance.recorded_rule, tolerance.atol, tolerance.rtol) or receipt["max_abs"] is None:
        return receipt["violations"], receipt["violations"]
    mismatches = receipt["nonfinite_mismatches"]
    if tolerance.rule == LIMITS or (receipt["max_abs"] == 0 and not receipt["violations"]):
        return mismatches, mismatches
    if tolerance.rule in FIELD_RULES and tolerance.rule != "angle":
        return mismatches, receipt[
            "elements"
        ]  # who is paired depends on the limits, and who is alone is in no histogram
    if tolerance.rule == "exact":
        mismatches += sum(receipt["histogram"][1:])
    if tolerance.rule == "exact" or receipt["max_abs"] <= tolerance.atol or receipt["max_rel"] <= tolerance.rtol:
        return mismatches, mismatches
    low, high = _beyond(receipt, tolerance)
    if (
        stored[0] == tolerance.recorded_rule
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
        largest = upper - 1 if tolerance.whole else upper  # there is nothing between two whole numbers
        possibly += count if largest > tolerance.atol else 0
        surely += count if lower > tolerance.atol else 0
    if tolerance.rtol > 0:  # an element with a large expected value may be allowed any error that the receipt knows of
        surely = 0
    finite_worst = not mismatches and receipt["worst_expected"] is not None
    if finite_worst:
        surely = max(surely, int(receipt["max_abs"] > tolerance.allowed(receipt["worst_expected"])))
    return mismatches + surely, mismatches + possibly
