"""Which tensor of one graph is which of the other: by name where the export kept names, by value otherwise.

Pure numpy. A value alone is weak evidence (a tensor of zeros is near to everything), so values are read together with
structure: a partner is made of partners, by an operator of the same kind where there is one.
"""

from __future__ import annotations

import hashlib
import math
from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from assay.runner.divergence.families import same_kind
from assay.runner.divergence.reference import RefNode
from assay.runner.tensors import Array

_PROJECTIONS = 8
_BLOCK = 1 << 20
MATCH = 2e-2
"""Relative L2 distance up to which two tensors made of the same partners are taken for the same value, slightly wrong
in one of them."""
_EQUAL = 1e-3
"""Distance up to which they are, whatever they are made of."""
_FEW = 4
_MATCH_FEW = 1e-5
"""Tensors of a few elements agree by accident: they have to agree better."""
_NOTICED = 1e-6
"""Distances below this are of rounding: what else is known decides between them."""
_FAR = 256
"""Nodes looked at between a tensor and its nearest partners."""


@dataclass(frozen=True, slots=True)
class Signature:
    """A tensor in a few numbers: its size, its norm, projections on fixed random signs, and what is not finite in it.

    Johnson and Lindenstrauss (1984): the distance of two tensors is about that of their projections, whatever their
    shapes, if their elements are in the same order.
    """

    size: int
    shape: tuple[int, ...]
    norm: float
    projections: tuple[float, ...]
    constant: bool
    """All elements are equal: then only a tensor of the same value and shape is the same."""
    odd: tuple[int, int, int] = (0, 0, 0)
    """Elements that are NaN, +infinity, -infinity; the other numbers count them as zero."""
    whole: bool = False
    """Whole numbers, or truth values."""

    def distance(self, other: Signature) -> float:
        """Estimated relative L2 distance.

        Infinite for other sizes, for other counts of what is not finite, and between a constant and anything but the
        same one.
        """
        if self.size != other.size or self.odd != other.odd or self.constant != other.constant:
            return math.inf
        if self.constant and self.shape != other.shape:
            return math.inf
        scale = max(self.norm, other.norm)
        if scale == 0:
            return 0.0
        squares = sum((a - b) ** 2 for a, b in zip(self.projections, other.projections, strict=True))
        found = math.sqrt(squares / len(self.projections)) / scale
        return math.inf if self.constant and found > _MATCH_FEW else found


def signature(array: Array) -> Signature:
    """Of any numeric array. An empty one, and one of a single element, is no constant."""
    flat = np.asarray(array, order="C").reshape(-1)
    totals, squares, odd = np.zeros(_PROJECTIONS), 0.0, np.zeros(3, np.int64)
    low, high = math.inf, -math.inf
    for number, start in enumerate(range(0, flat.size, _BLOCK)):
        raw = flat[start : start + _BLOCK].astype(np.float64)
        odd += [int(np.isnan(raw).sum()), int(np.isposinf(raw).sum()), int(np.isneginf(raw).sum())]
        values = np.nan_to_num(raw, nan=0.0, posinf=0.0, neginf=0.0)
        totals += _signs(number, values.size) @ values
        squares += float(values @ values)
        low, high = min(low, float(values.min())), max(high, float(values.max()))
    constant = flat.size > 1 and low == high
    return Signature(
        flat.size,
        array.shape,
        math.sqrt(squares),
        tuple(float(t) for t in totals),
        constant,
        (int(odd[0]), int(odd[1]), int(odd[2])),
        flat.dtype.kind in "iub",
    )


def _signs(block: int, size: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Fixed +-1 for the elements of one block, a row a projection."""
    seed = int.from_bytes(hashlib.sha256(f"assay/{block}".encode()).digest()[:8], "little")
    bits = np.random.default_rng(seed).integers(0, 2, (_PROJECTIONS, size), dtype=np.int8)
    return bits.astype(np.float64) * 2 - 1


@dataclass(frozen=True, slots=True)
class Made:
    """How a tensor of the candidate is made."""

    op: str
    reads: tuple[str, ...]
    """Tensors that depend on the inputs' values, and inputs."""


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
    nodes: Sequence[RefNode],
    reference: Mapping[str, Signature],
    candidate: Mapping[str, Signature],
    inputs: Iterable[str],
    made: Mapping[str, Made],
    outputs: Mapping[str, str] | None = None,
) -> Alignment:
    """Pairs of tensors with the same values, and the first value that has no partner.

    A value without a partner does not count while everything made of it has one (the other graph computed it in another
    way). For the first one that counts, a tensor that is made of the same partners and is not paired yet stands in, so
    that its error can be measured: of the same kind of operator where there is one, else the nearest of those.

    Args:
        nodes: the reference's, in order of execution.
        reference: signatures by name, in order; those that are left out are not matched.
        candidate: the same of the candidate.
        inputs: names that both sides have from the start.
        made: how each tensor of the candidate is made.
        outputs: the candidate's outputs -> the values that they have to be, whatever their values are.
    """
    matching = _Matching(nodes, reference, candidate, inputs, made)
    matching.pair(_EQUAL, related=False)
    matching.pair(MATCH, related=True)
    return matching.alignment(outputs or {})


class _Matching:
    """Pairs found so far, and what they say about the rest."""

    def __init__(
        self,
        nodes: Sequence[RefNode],
        reference: Mapping[str, Signature],
        candidate: Mapping[str, Signature],
        inputs: Iterable[str],
        made: Mapping[str, Made],
    ) -> None:
        self._nodes, self._made = nodes, made
        self._theirs, self._ours = reference, candidate
        self._by_name = {node.name: node for node in nodes}
        self._matched: dict[str, str] = {name: name for name in inputs}
        self._pairs: dict[str, str] = {}
        self._inputs = dict(self._matched)
        self._known = dict(self._matched)
        """Values of the reference that have a partner -> themselves."""
        self._groups: dict[int, list[str]] = {}
        for name, found in candidate.items():
            self._groups.setdefault(found.size, []).append(name)
        self._place = {name: place for names in self._groups.values() for place, name in enumerate(names)}
        self._largest = {size: max(candidate[name].norm for name in names) for size, names in self._groups.items()}
        self._matrices = {
            size: np.array([candidate[name].projections for name in names]) for size, names in self._groups.items()
        }

    def pair(self, most: float, *, related: bool) -> None:
        """Pair every value with its nearest tensor up to a distance; `related`: only with one of the same partners."""
        for node in self._nodes:
            wanted = self._theirs.get(node.name)
            if wanted is None or node.name in self._matched:
                continue
            if related and wanted.size < _FEW:
                continue
            limit = most if wanted.size >= _FEW else _MATCH_FEW
            near = [(d, name) for d, name in self._near(wanted, limit) if not related or name not in self._pairs]
            if not near:
                continue
            theirs = self._of_partners(node)
            best = min((self._rank(node, theirs, distance, name), name) for distance, name in near)
            if related and not theirs.intersection(self._partners(best[1])):
                continue
            self._matched[node.name] = best[1]
            self._known[node.name] = node.name
            self._pairs.setdefault(best[1], node.name)

    def _near(self, wanted: Signature, limit: float) -> list[tuple[float, str]]:
        names = self._groups.get(wanted.size, [])
        if not names:
            return []
        gaps = np.sqrt(((self._matrices[wanted.size] - np.array(wanted.projections)) ** 2).mean(axis=1))
        bound = limit * max(wanted.norm, self._largest[wanted.size], 1e-300)
        close = [names[i] for i in np.flatnonzero(gaps <= bound)]
        measured = [(wanted.distance(self._ours[name]), name) for name in close]
        return [(distance, name) for distance, name in measured if distance <= limit]

    def _rank(self, node: RefNode, theirs: set[str], distance: float, name: str) -> tuple[float, ...]:
        """Smaller is better: how far, then what is known of where it stands."""
        decade = max(0, math.ceil(math.log10(max(distance, _NOTICED) / _NOTICED)))
        ours = self._partners(name)
        shared = len(theirs & ours) / max(len(theirs | ours), 1)
        kind = name in self._made and same_kind(node.op, self._made[name].op)
        other_shape = self._ours[name].shape != self._theirs[node.name].shape
        return (decade, name in self._pairs, not kind, -shared, other_shape, self._place[name])

    def _partners(self, name: str) -> set[str]:
        """Values of the reference that the nearest paired tensors above one are."""
        reads = self._made[name].reads if name in self._made else ()
        return _nearest(name, reads, ChainMap(self._inputs, self._pairs), self._made)

    def _of_partners(self, node: RefNode) -> set[str]:
        """The nearest values above one that have a partner."""
        return _nearest(node.name, node.reads, self._known, self._by_name)

    def alignment(self, outputs: Mapping[str, str]) -> Alignment:
        """What was found, its first value without a partner, and what stands in for that."""
        result = Alignment(dict(self._pairs), by="value")
        first = self._first_uncovered()
        if first is not None:
            result.missing = first.name
            for node in _made_of(self._nodes, first.name):
                stands = _output_of(outputs, node.name) or self._standing_in(node, outputs)
                if node.name not in self._matched and stands is not None:
                    result.pairs[stands] = node.name
                    result.stand_in = stands
                    if self._whole(first.name) and not self._whole(node.name):
                        result.missing = node.name  # lengths and orders are how the reference goes about it
                    break
        for output, theirs in outputs.items():
            result.pairs[output] = theirs
        return result

    def _whole(self, name: str) -> bool:
        return name in self._theirs and self._theirs[name].whole

    def _standing_in(self, node: RefNode, outputs: Mapping[str, str]) -> str | None:
        """An unpaired tensor of a value's size, made of nothing but what the value is made of."""
        wanted, theirs = self._theirs.get(node.name), self._of_partners(node)
        if wanted is None or not theirs:
            return None
        ranked = []
        for position, name in enumerate(self._groups.get(wanted.size, [])):
            ours = self._partners(name) if name not in self._pairs and name not in outputs else set()
            if not ours or not ours <= theirs or self._ours[name].constant:
                continue
            kind = same_kind(node.op, self._made[name].op)
            gap = np.linalg.norm(np.subtract(wanted.projections, self._ours[name].projections))
            ranked.append((not kind, -len(ours), float(gap), position, name))
        return min(ranked)[-1] if ranked else None

    def _first_uncovered(self) -> RefNode | None:
        users: dict[str, list[str]] = {}
        for node in self._nodes:
            for name in node.reads:
                users.setdefault(name, []).append(node.name)
        covered: dict[str, bool] = {}
        for node in reversed(self._nodes):
            mine, seen = users.get(node.name, []), self._theirs.get(node.name)
            known = node.name in self._matched or (seen is not None and seen.constant)
            covered[node.name] = known or (bool(mine) and all(covered[user] for user in mine))
        for node in self._nodes:
            if not covered[node.name] and all(covered.get(name, True) for name in node.reads):
                return node
        return None


def _nearest(
    name: str, reads: Iterable[str], partner: Mapping[str, str], made: Mapping[str, Made | RefNode]
) -> set[str]:
    """Partners of the nearest tensors above one that have any."""
    found: set[str] = set()
    waiting, seen = [*reads], {name}
    while waiting and len(seen) < _FAR:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        if current in partner:
            found.add(partner[current])
        elif current in made:
            waiting += made[current].reads
    return found


def _output_of(outputs: Mapping[str, str], theirs: str) -> str | None:
    """The candidate's output that has to be a value."""
    return next((name for name, value in outputs.items() if value == theirs), None)


def _made_of(nodes: Sequence[RefNode], first: str) -> Iterable[RefNode]:
    """A value and everything computed from it, in order."""
    reached = {first}
    for node in nodes:
        if node.name == first or reached.intersection(node.reads):
            reached.add(node.name)
            yield node
