"""Ties: indices by their scores. Equal scores may come in any order, and the indices have to be exactly such."""

from __future__ import annotations

import math

import numpy as np

from assay.runner.rules.tolerance import Resolved
from assay.runner.tensors import Array

_COUNTED = ("of", "differ", "tied", "near", "unproven", "broken")


def by_scores(
    right: Array, left: Array, scores: Array, came: Array, rule: Resolved, axis: int
) -> tuple[Array, dict[str, int]]:
    """Where an index differs without a tie (of `right`'s shape), and what was counted.

    `scores` are either those of the k indices (of their shape) or of everything that they were picked from (longer
    along `axis`, or with one axis more, as for an argmax). With the k scores alone, an index that the reference does
    not have is accepted at the cut only: where its score is the last one kept on both sides. That cannot be proven from
    k scores, and is counted as such.

    Raises:
        ValueError: the shapes do not fit, or a side has no whole numbers.
    """
    if left.dtype.kind not in "iu":
        raise ValueError(f"indices were expected, {left.dtype.name} came")
    if scores.ndim == right.ndim + 1:
        right, left = np.expand_dims(right, axis), np.expand_dims(left, axis)
        broken, counts = by_scores(right, left, scores, came, rule, axis)
        return np.squeeze(broken, axis), counts
    if scores.shape != came.shape:
        raise ValueError(f"scores of shape {scores.shape} were expected, {came.shape} came")
    along = axis % right.ndim if right.ndim else 0
    others = [side.shape[:along] + side.shape[along + 1 :] for side in (right, scores)]
    if right.ndim == 0 or scores.ndim != right.ndim or others[0] != others[1]:
        raise ValueError(f"scores of shape {scores.shape} do not fit to indices of shape {right.shape}")
    e, a, s, t = (rows_along(side, along) for side in (right, left, scores, came))
    counts = dict.fromkeys(_COUNTED, 0)
    counts["of"], counts["differ"] = e.size, int((e != a).sum())
    broken = np.zeros(e.shape, bool)
    whole = scores.shape[along] > right.shape[along]
    for row in np.flatnonzero((e != a).any(axis=1)):
        s_row, t_row = s[row].astype(np.float64), t[row].astype(np.float64)
        if whole:
            broken[row] = _among_all(e[row], a[row], s_row, rule, counts)
        else:
            broken[row] = _among_kept(e[row], a[row], s_row, t_row, rule, counts)
    counts["broken"] = int(broken.sum())
    return np.moveaxis(broken.reshape(np.moveaxis(right, along, -1).shape), -1, along), counts


def rows_along(array: Array, axis: int) -> Array:
    """The array as rows along one axis."""
    moved = np.moveaxis(array, axis, -1)
    return moved.reshape(math.prod(moved.shape[:-1]), moved.shape[-1])


def near(a: Array, b: Array, rule: Resolved) -> Array:
    """Whether scores count as equal: within their own rule for elements, exactly where they have none."""
    with np.errstate(invalid="ignore"):
        equal: Array = a == b
        if rule.rule not in ("mixed", "either"):
            return equal
        error, size = np.abs(a - b), np.minimum(np.abs(a), np.abs(b))
        relative = rule.rtol * size
        allowed: Array = rule.atol + relative if rule.rule == "mixed" else np.maximum(rule.atol, relative)
        return np.asarray(equal | (error <= allowed))


def _among_all(e: Array, a: Array, scores: Array, rule: Resolved, counts: dict[str, int]) -> Array:
    """Every index has a score in the reference: an index is right where that is the score of the expected one."""
    valid = (a >= 0) & (a < len(scores))
    at = np.where(valid, a, 0).astype(np.int64)
    mine, theirs = scores[e.astype(np.int64) % len(scores)], scores[at]
    once = _first_of_its_kind(a)
    holds = valid & once & near(mine, theirs, rule)
    differ = e != a
    counts["tied"] += int((differ & holds & (mine == theirs)).sum())
    counts["near"] += int((differ & holds & (mine != theirs)).sum())
    return np.asarray((differ | ~once) & ~holds)


def _first_of_its_kind(a: Array) -> Array:
    once = np.zeros(len(a), bool)
    once[np.unique(a, return_index=True)[1]] = True
    return once


def _among_kept(e: Array, a: Array, s: Array, t: Array, rule: Resolved, counts: dict[str, int]) -> Array:
    """The k scores alone: an index stands elsewhere where its score is equal, or at the cut in another's stead."""
    places = partners(e[None], a[None])[0]  # expected place -> actual place
    here = np.flatnonzero(places >= 0)
    there = places[here]
    broken = np.zeros(len(e), bool)
    moved = here != there
    exact, close = s[here] == s[there], near(s[here], s[there], rule)
    broken[there[moved & ~close]] = True
    counted = moved & close & (e[there] != a[there])
    counts["tied"] += int((counted & exact).sum())
    counts["near"] += int((counted & ~exact).sum())
    stranger = np.ones(len(a), bool)
    stranger[there] = False
    lost = np.flatnonzero(places < 0)
    last_s, last_t = _cut(s), _cut(t)
    known = set(e.tolist())
    at_cut = near(s, last_s, rule) & near(t, last_t, rule)
    fits = np.array([index >= 0 and index not in known for index in a.tolist()], bool) & _first_of_its_kind(a)
    accepted = stranger & at_cut & fits
    counts["unproven"] += int(accepted.sum())
    broken |= stranger & ~accepted
    broken[lost[~near(s[lost], last_s, rule)]] = True  # a better one is not among those that came
    return broken


def _cut(scores: Array) -> Array:
    """The score of the last one kept: the last of sorted scores, the smallest of others (as of an unsorted top-k)."""
    steps = np.diff(scores)
    in_order = bool((steps <= 0).all() or (steps >= 0).all())
    return np.asarray(scores[-1] if in_order else scores.min())


def partners(expected: Array, actual: Array) -> Array:
    """(rows, k): for each expected value its place in the same row of `actual`, -1 where it is not there.

    Of values that come more than once, the n-th belongs to the n-th.
    """
    places = np.full(expected.shape, -1, np.int64)
    for row, (e, a) in enumerate(zip(expected, actual, strict=True)):
        order_e, order_a = np.argsort(e, kind="stable"), np.argsort(a, kind="stable")
        if np.array_equal(e[order_e], a[order_a]):
            places[row, order_e] = order_a
            continue
        waiting: dict[object, list[int]] = {}
        for place in range(len(a) - 1, -1, -1):
            waiting.setdefault(a[place].item(), []).append(place)
        for place, value in enumerate(e.tolist()):
            if some := waiting.get(value):
                places[row, place] = some.pop()
    return places
