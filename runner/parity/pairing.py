"""Rules of the field: which elements belong together, before the kernel compares them.

Equal scores may come in any order, a set has none, an angle has a period, boxes have partners, a sequence has an end.
Each rule brings the actual side into the expected side's places, so that every index of a receipt is one of the
reference, and counts what it accounted for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from assay.runner.errors import UsageError, nearest
from assay.runner.parity import ties
from assay.runner.parity.boxes import match
from assay.runner.rules.policy import Policy
from assay.runner.rules.tolerance import Resolved
from assay.runner.tensors import Array, Tensors

_MOST_ASSIGNED = 2000
"""Items without an equal partner are assigned at the least cost up to this many; beyond it in sorted order."""
_CORNERS = 4


@dataclass(slots=True)
class Paired:
    """Two arrays of one shape, element by element."""

    expected: Array
    actual: Array
    counts: dict[str, int]
    mask: Array | None = None
    """True where a pair counts."""
    alone: int = 0
    """Elements of either side without a partner: each breaks the rule."""
    broken: Array | None = None
    """Where the rule itself says which elements break it: True there, whatever their distance."""
    within: str = ""
    first_alone: int = field(default=-1)
    """The first expected element without a partner; -1 for none."""


@dataclass(frozen=True, slots=True)
class Sides:
    """All outputs of a step on both sides, and the policy: a rule may go by another output."""

    policy: Policy
    expected: Tensors
    actual: Mapping[str, Any]

    def companion(self, of: str, by: str) -> tuple[Array, Array, Resolved]:
        """Another output's two arrays, and its own rule.

        Raises:
            UsageError: the reference has no such output, or it is the output itself.
            ValueError: the candidate has none.
        """
        if by == of or by not in self.expected:
            others = [name for name in self.expected if name != of]
            raise UsageError(
                f"the policy for output {of!r} goes by {by!r}, which is no other output of the reference: there are"
                f" {', '.join(others) or 'none'}.{nearest(by, others)}"
            )
        if by not in self.actual:
            raise ValueError(f"the rule goes by output {by!r}, which the candidate does not have")
        right = self.expected[by]
        return right, np.asarray(self.actual[by]), self.policy.for_output(by, right.dtype.name)


def pair(name: str, tolerance: Resolved, sides: Sides, mask: Array | None) -> Paired:
    """The two sides of an output as its rule pairs them.

    Raises:
        UsageError: the rule goes by an output that does not exist.
        ValueError: the arrays are not what the rule is for; the message says why.
    """
    right, left = sides.expected[name], np.asarray(sides.actual[name])
    if mask is not None and tolerance.rule in ("set", "boxes"):
        raise ValueError(f"rule {tolerance.rule} takes no valid lengths: what is masked has no place in it")
    made = _RULES[tolerance.rule](name, tolerance, sides, right, left)
    if mask is not None:
        made.mask = mask if made.mask is None else made.mask & mask
    return made


def _same_shape(right: Array, left: Array) -> None:
    if right.shape != left.shape:
        raise ValueError(f"shape {right.shape} was expected, {left.shape} came")


def _angle(_: str, tolerance: Resolved, __: Sides, right: Array, left: Array) -> Paired:
    """The difference modulo the period, in (-period / 2, period / 2]."""
    _same_shape(right, left)
    x, y = right.astype(np.float64), left.astype(np.float64)
    with np.errstate(invalid="ignore"):
        turns = np.ceil((y - x) / tolerance.period - 0.5)
        turned = np.where(np.isfinite(turns) & (turns != 0), y - turns * tolerance.period, y)
    wrapped = int((np.isfinite(turns) & (turns != 0)).sum())
    return Paired(x, turned, {"of": x.size, "wrapped": wrapped})


def _order(name: str, tolerance: Resolved, sides: Sides, right: Array, left: Array) -> Paired:
    _same_shape(right, left)
    if tolerance.by is None:
        raise ValueError("rule order needs `by`")
    theirs, came, rule = sides.companion(name, tolerance.by)
    if rule.rule == "order" and rule.by != name:
        return _by_index(tolerance, right, left, theirs, came)
    if not tolerance.whole:
        raise ValueError(
            f"rule order by scores is for indices, and this is {right.dtype.name}: for what was gathered, go by the"
            " output with the indices"
        )
    broken, counts = ties.by_scores(right, left, theirs, came, rule, tolerance.axis)
    near = f"within {rule.words()} of each other" if counts["near"] else ""
    return Paired(right, left, counts, broken=broken, within=near)


def _by_index(tolerance: Resolved, right: Array, left: Array, ids: Array, came: Array) -> Paired:
    """What was gathered is compared where both sides name the same index; the others are left out, and counted."""
    _same_shape(ids, came)
    if right.shape[: ids.ndim] != ids.shape:
        raise ValueError(f"indices of shape {ids.shape} do not name the items of shape {right.shape}")
    axis = tolerance.axis if tolerance.axis < 0 else tolerance.axis - ids.ndim
    places = ties.partners(ties.rows_along(ids, axis), ties.rows_along(came, axis))
    places = np.moveaxis(places.reshape(np.moveaxis(ids, axis, -1).shape), -1, axis)
    there = places >= 0
    spread = (slice(None),) * ids.ndim + (None,) * (right.ndim - ids.ndim)
    actual = np.take_along_axis(left, np.where(there, places, 0)[spread], axis=ids.ndim + axis)
    own = np.broadcast_to(
        np.arange(ids.shape[axis]).reshape([-1 if i == ids.ndim + axis else 1 for i in range(ids.ndim)]), ids.shape
    )
    counts = {"of": ids.size, "elsewhere": int((there & (places != own)).sum()), "left_out": int((~there).sum())}
    return Paired(right, actual, counts, mask=np.broadcast_to(there[spread], right.shape))


def _set(_: str, tolerance: Resolved, __: Sides, right: Array, left: Array) -> Paired:
    """Items along an axis, in any order: what comes before it are separate sets, what comes after it is in the item."""
    _same_shape(right, left)
    if right.ndim == 0:
        raise ValueError("rule set needs an axis, and this is a single value")
    axis = tolerance.axis % right.ndim
    count = right.shape[axis]
    sizes = (math.prod(right.shape[:axis]), count, math.prod(right.shape[axis + 1 :]))
    x, y = (side.reshape(sizes) for side in (right, left))
    actual, elsewhere = y.copy(), 0
    for number in range(x.shape[0]):
        places = _partners(x[number], y[number], tolerance)
        actual[number] = y[number][places]
        elsewhere += int((places != np.arange(count)).sum())
    return Paired(right, actual.reshape(right.shape), {"of": x.shape[0] * count, "elsewhere": elsewhere})


def _partners(x: Array, y: Array, tolerance: Resolved) -> Array:
    """For each item of x the place of its partner in y: itself, an equal one, then those nearest by."""
    places = np.full(len(x), -1)
    same = (x == y).all(axis=-1)
    places[same] = np.flatnonzero(same)
    waiting: dict[bytes, list[int]] = {}
    for j in np.flatnonzero(~same)[::-1]:
        waiting.setdefault(np.asarray(y[j], order="C").tobytes(), []).append(int(j))
    for i in np.flatnonzero(~same):
        if equal := waiting.get(np.asarray(x[i].astype(y.dtype), order="C").tobytes()):
            places[i] = equal.pop()
    rest_x = np.flatnonzero(places < 0)
    rest_y = np.array(sorted(j for some in waiting.values() for j in some), dtype=np.int64)
    if len(rest_x):
        rows, columns = _assigned(x[rest_x].astype(np.float64), y[rest_y].astype(np.float64), tolerance)
        places[rest_x[rows]] = rest_y[columns]
    return places


def _assigned(x: Array, y: Array, tolerance: Resolved) -> tuple[Array, Array]:
    """Pairs with as few elements outside the tolerance as possible, then with the smallest distance."""
    if len(x) > _MOST_ASSIGNED:
        return np.lexsort(x.T[::-1]), np.lexsort(y.T[::-1])
    cost = np.zeros((len(x), len(y)))
    for column in range(x.shape[1]):
        a, b = x[:, column, None], y[None, :, column]
        with np.errstate(invalid="ignore"):
            error = np.nan_to_num(np.abs(b - a), nan=1e300, posinf=1e300)
        over = error > tolerance.atol + tolerance.rtol * np.abs(np.nan_to_num(a))
        cost += over + 1e-6 * error / (1 + error)
    return linear_sum_assignment(cost)  # type: ignore[no-any-return]


def _boxes(name: str, tolerance: Resolved, sides: Sides, right: Array, left: Array) -> Paired:
    """Boxes, or with `by` what belongs to each of them, in the pairing of the boxes."""
    boxes, own = name, tolerance
    if tolerance.by is not None:
        *_, own = sides.companion(name, tolerance.by)
        boxes = tolerance.by
        if own.rule != "boxes" or own.by is not None:
            raise UsageError(f"the policy for output {name!r} goes by {boxes!r}, whose own rule is not `boxes`.")
    x, y = (np.asarray(side[boxes]) for side in (sides.expected, sides.actual))
    classes = None if own.classes is None else sides.companion(boxes, own.classes)[:2]
    batches = _box_batches(x, y, classes)
    per = math.prod(right.shape[x.ndim - 1 :])
    for side, those in ((right, x), (left, y)):
        if side.shape[: x.ndim - 1] != those.shape[:-1]:
            raise ValueError(f"shape {side.shape} does not fit to boxes of shape {those.shape}")
    flat = left.reshape(len(batches), y.shape[-2], per)
    actual = np.zeros((len(batches), x.shape[-2], per), left.dtype)
    there = np.zeros(actual.shape, bool)
    counts = dict.fromkeys(("of", "paired", "elsewhere", "alone_expected", "alone_actual"), 0)
    for number, (mine, theirs, kinds) in enumerate(batches):
        rows, columns = match(mine, theirs, kinds, own)
        actual[number, rows] = flat[number, columns]
        there[number, rows] = True
        counts["of"] += len(mine)
        counts["paired"] += len(rows)
        counts["elsewhere"] += int((rows != columns).sum())
        counts["alone_expected"] += len(mine) - len(rows)
        counts["alone_actual"] += len(theirs) - len(rows)
    alone = (counts["alone_expected"] + counts["alone_actual"]) * per if tolerance.by is None else 0
    missing = np.flatnonzero(~there)
    first = int(missing[0]) if alone and missing.size else -1
    return Paired(
        right, actual.reshape(right.shape), counts, mask=there.reshape(right.shape), alone=alone, first_alone=first
    )


def _box_batches(x: Array, y: Array, classes: tuple[Array, Array] | None) -> list[tuple[Array, Array, Any]]:
    """(expected boxes, actual boxes, their classes) of each image."""
    if x.ndim < 2 or x.ndim != y.ndim or x.shape[-1] != _CORNERS or y.shape[-1] != _CORNERS:
        raise ValueError(f"boxes are (..., n, 4): {x.shape} was expected, {y.shape} came")
    if x.shape[:-2] != y.shape[:-2]:
        raise ValueError(f"boxes of shape {x.shape} were expected, {y.shape} came: only their number may differ")
    count = math.prod(x.shape[:-2])
    sides = [side.astype(np.float64).reshape(count, side.shape[-2], _CORNERS) for side in (x, y)]
    kinds = None
    if classes is not None:
        for those, side in zip(classes, (x, y), strict=True):
            if those.shape != side.shape[:-1]:
                raise ValueError(f"classes of shape {those.shape} do not fit to boxes of shape {side.shape}")
        kinds = [those.reshape(count, those.shape[-1]) for those in classes]
    return [(sides[0][i], sides[1][i], None if kinds is None else (kinds[0][i], kinds[1][i])) for i in range(count)]


def _tokens(_: str, tolerance: Resolved, __: Sides, right: Array, left: Array) -> Paired:
    """Sequences up to the reference's end, which counts too; they may be padded to different lengths after it."""
    if not tolerance.whole or left.dtype.kind not in "iu":
        raise ValueError(f"rule tokens is for whole numbers, and these are {right.dtype.name} and {left.dtype.name}")
    axis = tolerance.axis % right.ndim if right.ndim else 0
    if right.ndim == 0 or right.ndim != left.ndim or _without(right, axis) != _without(left, axis):
        raise ValueError(f"sequences of shape {right.shape} were expected, {left.shape} came: only lengths may differ")
    length = max(right.shape[axis], left.shape[axis])
    x, here_x = _filled(right, axis, length)
    y, here_y = _filled(left, axis, length)
    ended = np.cumsum(here_x & (x == tolerance.end), axis=axis)
    counted = np.roll(ended, 1, axis=axis)
    counted[(slice(None),) * axis + (slice(0, 1),)] = 0
    counts = counted == 0  # the reference has not ended before this place
    both, one = counts & here_x & here_y, counts & (here_x ^ here_y)
    told = {
        "of": int((both | one).sum()),
        "sequences": x.size // max(length, 1),
        "padding": int((~counts & here_x).sum()),
    }
    missing = np.flatnonzero(one)
    first = int(missing[0]) if missing.size and length == right.shape[axis] else -1
    cut = (slice(None),) * axis + (slice(0, right.shape[axis]),)
    return Paired(right, y[cut], told, mask=both[cut], alone=int(one.sum()), first_alone=first)


def _without(array: Array, axis: int) -> tuple[int, ...]:
    return (*array.shape[:axis], *array.shape[axis + 1 :])


def _filled(array: Array, axis: int, length: int) -> tuple[Array, Array]:
    """The array at a common length, and where it has values."""
    widths = [(0, length - array.shape[axis] if i == axis else 0) for i in range(array.ndim)]
    return np.pad(array, widths), np.pad(np.ones(array.shape, bool), widths)


_RULES = {"order": _order, "set": _set, "angle": _angle, "boxes": _boxes, "tokens": _tokens}
