"""Candidates: the partition of a series that costs least, under a cost that an outlier cannot run up.

The cost of a segment is its scatter in the feature space of a Gaussian kernel (Arlot, Celisse, Harchaoui 2019): one
point far away costs at most 1. The partition is exact (optimal partitioning, Jackson et al. 2005), with a penalty for
each segment.
"""

from __future__ import annotations

import numpy as np

from assay.runner.tensors import Array

LONGEST = 1000
"""Longer series are cut into overlapping windows of this many points: the cost of a segment needs a table of n^2."""


def kernel_cost(y: Array, bandwidth: float) -> Array:
    """[n+1, n+1]: the cost of the segment from i to j (exclusive); infinite where it is empty.

    `bandwidth` times the median squared distance between two points is the kernel's width.
    """
    squared = (y[:, None] - y[None, :]) ** 2
    pairs = squared[np.triu_indices(len(y), 1)]
    width = float(np.median(pairs))
    if width <= 0:  # most points are equal: what differs at all
        width = float(pairs[pairs > 0].mean())
    sums = np.zeros((len(y) + 1, len(y) + 1))
    sums[1:, 1:] = np.exp(-squared / (width * bandwidth)).cumsum(axis=0).cumsum(axis=1)
    own = np.diag(sums)
    block = own[None, :] - sums - sums.T + own[:, None]
    length = np.arange(len(y) + 1)[None, :] - np.arange(len(y) + 1)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        cost = length - block / length
    cost[length <= 0] = np.inf
    return np.asarray(cost)


def optimal_partition(cost: Array, penalty: float, least: int) -> list[int]:
    """First points of the segments after the first, for the least sum of costs and penalties.

    Segments have at least `least` points.
    """
    n = len(cost) - 1
    best = np.full(n + 1, np.inf)
    best[0] = -penalty
    before = np.zeros(n + 1, np.int64)
    for end in range(least, n + 1):
        starts = best[: end - least + 1] + cost[: end - least + 1, end]
        before[end] = int(starts.argmin())
        best[end] = starts[before[end]] + penalty
    cuts: list[int] = []
    at = int(before[n])
    while at > 0:
        cuts.append(at)
        at = int(before[at])
    return cuts[::-1]


def candidates(y: Array, penalty: float, least: int, bandwidth: float) -> list[int]:
    """Where the level of a series may have changed; `penalty` is times ln(n).

    Empty for a constant series and one of fewer than 2 `least` points.
    """
    if len(y) < 2 * least or float(np.ptp(y)) == 0:
        return []
    if len(y) <= LONGEST:
        return optimal_partition(kernel_cost(y, bandwidth), penalty * float(np.log(len(y))), least)
    half = LONGEST // 2
    found: set[int] = set()
    for start in range(0, len(y) - half, half):
        window = y[start : start + LONGEST]
        last = start + LONGEST >= len(y)
        inside = candidates(window, penalty, least, bandwidth)
        first = 0 if start == 0 else half // 2
        found.update(start + cut for cut in inside if first <= cut < (LONGEST if last else half + half // 2))
    return sorted(found)
