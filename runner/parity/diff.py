"""`assay diff`: two files of arrays, one receipt an array."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from assay.runner.parity.comparison import OutputComparison
from assay.runner.rules.policy import Judgement, Policy, judge_output
from assay.runner.rules.tolerance import Tolerance, is_whole
from assay.runner.workloads import read_arrays


def diff_files(
    expected: Path, actual: Path, policy: Policy, *, units: float | None = None
) -> dict[str, tuple[dict[str, Any], Judgement]]:
    """Array name -> receipt and judgement. Arrays only in `actual` are compared with nothing, and say so.

    `units` is how far whole numbers without an entry in the policy may be apart; None: not at all.

    Raises:
        UsageError: a file is missing, damaged or of an unknown kind, or a rule goes by an array that is not there.
    """
    left, right = read_arrays(expected), read_arrays(actual)
    if units is not None:
        own = {name: Tolerance(atol=units) for name, array in left.items() if is_whole(array.dtype.name)}
        policy = policy.model_copy(update={"outputs": {**own, **policy.outputs}})
    comparison = OutputComparison(policy, {})
    results = {}
    for receipt in comparison.step(0, left, right):
        judgement = judge_output(policy.for_output(receipt["output"], receipt["expected_dtype"]), receipt, [receipt])
        if judgement.outcome == "pass" and expected.samefile(actual):
            judgement = Judgement("vacuous", "both paths are the same file", judgement.rule)
        results[receipt["output"]] = (receipt, judgement)
    if len(left) > 1 or len(right) > 1:
        for name in right.keys() - left.keys():
            results[name] = _only_in_actual(name)
    return results


def _only_in_actual(name: str) -> tuple[dict[str, Any], Judgement]:
    from assay.runner.parity.receipt import empty_receipt

    problem = f"array {name!r} is only in the actual file"
    return {**empty_receipt(), "output": name, "problem": problem}, Judgement("fail", problem, "same arrays")
