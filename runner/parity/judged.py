"""One output of one step, compared as its rule asks: paired, tallied, and what was accounted for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from assay.runner.parity.compare import tally
from assay.runner.parity.pairing import Paired, Sides, pair
from assay.runner.parity.tally import Tally
from assay.runner.rules.tolerance import FIELD_RULES, Resolved, is_whole
from assay.runner.tensors import Array


@dataclass(frozen=True, slots=True)
class Compared:
    """A tally, and beside it what a tally cannot hold."""

    tally: Tally
    expected: Array
    actual: Any
    counts: dict[str, int]
    """What the rule accounted for, by `assay.runner.rules.agreement`."""
    within: str = ""

    def exact_pair(self, index: list[int] | None) -> str | None:
        """JSON: the pair at an index in all its digits, where the reference or the candidate is no float."""
        if index is None or not (is_whole(self.expected.dtype.name) or is_whole(self.actual.dtype.name)):
            return None
        return json.dumps([str(np.asarray(side)[tuple(index)].item()) for side in (self.expected, self.actual)])


def compared(name: str, tolerance: Resolved, sides: Sides, mask: Array | None, *, compiled: bool | None) -> Compared:
    """Compare an output; on the device where the candidate lies on one and can be compared there, else on the host.

    Raises:
        UsageError: the rule goes by an output that does not exist.
        ValueError: shapes differ, or the arrays are not what the rule is for.
    """
    right, candidate = sides.expected[name], sides.actual[name]
    rules = tolerance.kernel()
    counts = {} if tolerance.top1 is None else _top(right, np.asarray(candidate))
    if tolerance.rule in FIELD_RULES:
        paired = pair(name, tolerance, sides, mask)
        return Compared(
            _paired_tally(paired, rules), paired.expected, paired.actual, {**paired.counts, **counts}, paired.within
        )
    on_device = getattr(candidate, "tally_against", None)
    found: Tally | None = on_device(right, mask=mask, **rules) if on_device else None
    if found is None:
        found = tally(right, np.asarray(candidate), compiled=compiled, mask=mask, **rules)
    return Compared(found, right, candidate, counts)


def _paired_tally(paired: Paired, rules: dict[str, Any]) -> Tally:
    """The tally of the pairs; elements that are alone are compared with nothing and break the rule."""
    if paired.broken is not None:
        rules = {**rules, "rule": "mixed", "atol": float("inf"), "rtol": 0.0}
    found = tally(paired.expected, paired.actual, mask=paired.mask, **rules)
    if paired.broken is not None:
        broken = paired.broken if paired.mask is None else paired.broken & paired.mask
        places = np.flatnonzero(broken)
        found.violations, found.first_failing = places.size, int(places[0]) if places.size else -1
    found.elements += paired.alone
    found.violations += paired.alone
    if paired.first_alone >= 0 and (found.first_failing < 0 or paired.first_alone < found.first_failing):
        found.first_failing = paired.first_alone
    return found


def _top(right: Array, left: Array) -> dict[str, int]:
    """Rows of the last axis, and those in which both sides have the largest element at the same place.

    A place where the reference has its largest value a second time is the same place. No rows where there is only one
    class, or where the shapes differ.
    """
    if right.shape != left.shape or right.ndim == 0 or right.shape[-1] < 2:
        return {"rows": 0, "same_top": 0}
    x, y = (np.asarray(side, np.float64).reshape(-1, right.shape[-1]) for side in (right, left))
    picked = np.take_along_axis(x, y.argmax(axis=1)[:, None], axis=1)[:, 0]
    return {"rows": len(x), "same_top": int((picked == x.max(axis=1)).sum())}
