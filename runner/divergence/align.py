"""Which tensor of one graph is which of the other: by name where the export kept names, by value otherwise.

Pure numpy.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from assay.runner.divergence.reference import RefNode
from assay.runner.tensors import Array

_PROJECTIONS = 8
_BLOCK = 1 << 20
MATCH = 2e-2
"""Relative L2 distance up to which two tensors are taken for the same value, one of them slightly wrong."""
_FEW = 4
_MATCH_FEW = 1e-5
"""Tensors of a few elements agree by accident: they have to agree better."""


@dataclass(frozen=True, slots=True)
class Signature:
    """A tensor in a few numbers: its size, its norm, and projections on fixed random signs.

    Johnson and Lindenstrauss (1984): the distance of two tensors is about that of their projections, whatever their
    shapes, if their elements are in the same order.
    """

    size: int
    shape: tuple[int, ...]
    norm: float
    projections: tuple[float, ...]
    constant: bool

    def distance(self, other: Signature) -> float:
        """Estimated relative L2 distance; infinite for other sizes."""
        if self.size != other.size:
            return math.inf
        scale = max(self.norm, other.norm)
        if scale == 0:
            return 0.0
        squares = sum((a - b) ** 2 for a, b in zip(self.projections, other.projections, strict=True))
        return math.sqrt(squares / len(self.projections)) / scale


def signature(array: Array) -> Signature:
    """Of any numeric array; what is not finite counts as zero."""
    flat = np.asarray(array, order="C").reshape(-1)
    totals, squares = np.zeros(_PROJECTIONS), 0.0
    low, high = math.inf, -math.inf
    for number, start in enumerate(range(0, flat.size, _BLOCK)):
        values = np.nan_to_num(flat[start : start + _BLOCK].astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
        totals += _signs(number, values.size) @ values
        squares += float(values @ values)
        low, high = min(low, float(values.min())), max(high, float(values.max()))
    return Signature(flat.size, array.shape, math.sqrt(squares), tuple(float(t) for t in totals), low == high)


def _signs(block: int, size: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Fixed +-1 for the elements of one block, a row a projection."""
    seed = int.from_bytes(hashlib.sha256(f"assay/{block}".encode()).digest()[:8], "little")
    bits = np.random.default_rng(seed).integers(0, 2, (_PROJECTIONS, size), dtype=np.int8)
    return bits.astype(np.float64) * 2 - 1


@dataclass(slots=True)
class Alignment:
    """Candidate tensor -> value of the reference."""

    pairs: dict[str, str] = field(default_factory=dict)
    by: str = "name"
    stand_in: str | None = None
    """The candidate's tensor that is measured in its place, or in the place of the first value made of it."""
    missing: str | None = None
    """By value: the first value of the reference that the candidate has nowhere, although it has all that it is made
    of."""


def by_name(reference: Iterable[str], candidate: Iterable[str]) -> Alignment:
    known = set(reference)
    return Alignment({name: name for name in candidate if name in known})


def by_value(
    nodes: list[RefNode],
    reference: Mapping[str, Signature],
    candidate: Mapping[str, Signature],
    inputs: Iterable[str],
    downstream: Callable[[set[str]], set[str]],
) -> Alignment:
    """Pairs of tensors with the same values, and the first value that has no partner.

    A value without a partner does not count while everything made of it has one (the other graph computed it in another
    way). For the first one that counts, the closest tensor of its size that is not paired yet stands in, so that its
    error can be measured. `downstream` gives the candidate's tensors that depend on some others.
    """
    made = Alignment(by="value")
    by_size: dict[int, list[str]] = {}
    for name, found in candidate.items():
        by_size.setdefault(found.size, []).append(name)
    matched = {name: name for name in inputs}
    for name, wanted in reference.items():
        best = _closest(wanted, candidate, by_size.get(wanted.size, []))
        if (
            best
            and best[1] <= (MATCH if wanted.size >= _FEW else _MATCH_FEW)
            and not (wanted.constant and wanted.size > 1)
        ):
            matched[name] = best[0]
            made.pairs.setdefault(best[0], name)
    first = _first_uncovered(nodes, matched)
    if first is None:
        return made
    made.missing = first.name
    frontier = {matched[name] for name in first.reads if name in matched}
    reachable = downstream(frontier) if frontier else set(candidate)
    free = [name for name in candidate if name not in made.pairs and name in reachable]
    for node in _made_of(nodes, first.name):
        if node.name in reference and node.name not in matched:
            stand_in = _closest(
                reference[node.name], candidate, [n for n in free if candidate[n].size == reference[node.name].size]
            )
            if stand_in and math.isfinite(stand_in[1]):
                made.pairs[stand_in[0]] = node.name
                made.stand_in = stand_in[0]
                break
    return made


def _closest(wanted: Signature, candidate: Mapping[str, Signature], names: Iterable[str]) -> tuple[str, float] | None:
    """The nearest tensor; among equals one of the same shape, then the earliest."""
    ranked = [
        (wanted.distance(candidate[name]), candidate[name].shape != wanted.shape, position, name)
        for position, name in enumerate(names)
    ]
    if not ranked:
        return None
    distance, _, _, name = min(ranked)
    return name, distance


def _first_uncovered(nodes: list[RefNode], matched: Mapping[str, str]) -> RefNode | None:
    users: dict[str, list[str]] = {}
    for node in nodes:
        for name in node.reads:
            users.setdefault(name, []).append(node.name)
    covered: dict[str, bool] = {}
    for node in reversed(nodes):
        mine = users.get(node.name, [])
        covered[node.name] = node.name in matched or (bool(mine) and all(covered[user] for user in mine))
    for node in nodes:
        if not covered[node.name] and all(covered.get(name, True) for name in node.reads):
            return node
    return None


def _made_of(nodes: list[RefNode], first: str) -> Iterable[RefNode]:
    """A value and everything computed from it, in order."""
    reached = {first}
    for node in nodes:
        if node.name == first or reached.intersection(node.reads):
            reached.add(node.name)
            yield node
