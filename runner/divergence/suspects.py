"""Nodes that may be wrong by themselves: what is kept of each, what lies inside one, and which of them is named."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from onnx import numpy_helper

from assay.runner.divergence.onnx_walk import run_part
from assay.runner.graphs.onnx_graph import Graph, GraphNode, part
from assay.runner.tensors import Array, Tensors

_TYPICAL = 8.0
"""A single element may be this much further off than the norm: what it is made of can cancel."""
_AGREES = 64.0
"""An accumulated error of this many roundings is none: it grows along the chain."""
_GONE = 8.0
"""An error that is smaller by this factor, and of the size of rounding, has not come through."""
_OF_CODES = 2.0**-8
"""Relative L2 error that products with 8-bit codes have where the scale of their output is not known."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One node output of the candidate that has a counterpart."""

    position: int
    node: str
    op_type: str
    layer: str | None
    reference_node: str
    reference_op: str
    output: str
    shape: tuple[int, ...]
    elements: int
    accumulated_max_abs: float | None
    accumulated_rel_l2: float | None
    local_max_abs: float | None
    local_rel_l2: float | None
    local_typical_rel: float | None
    """Median relative error of the elements that differ, where that is more than a few: what a norm dominated by large
    elements (a mask of -10000) cannot hide."""
    expected_rel_l2: float
    between: tuple[str, ...]
    """Nodes of the candidate between this one and the last that had counterparts, itself included."""
    hint: str | None = None
    accumulated_typical_rel: float | None = None
    """The same median of the candidate's own chain."""

    @property
    def jump(self) -> float:
        """Local error over what rounding may do; 0 where it is not known."""
        return max(self.local_rel_l2 or 0.0, (self.local_typical_rel or 0.0) / _TYPICAL) / self.expected_rel_l2


@dataclass(frozen=True, slots=True)
class Suspect:
    """A node that is wrong by itself, with what reproduces it."""

    entry: Entry
    expected: Array
    actual: Array | None
    """What the candidate's nodes made of the reference's inputs."""
    model: bytes
    """Those nodes alone, as an ONNX model."""
    inputs: Tensors


@dataclass(frozen=True, slots=True)
class Inside:
    """A node between two partners whose fault shows without a partner of its own."""

    entry: Entry
    expected: Array
    actual: Array
    nodes: list[GraphNode]
    """It, and those before it that it needs."""


def look_inside(
    graph: Graph, nodes: Sequence[GraphNode], arrays: Tensors, rename: Mapping[str, str], entry: Entry, expected: Array
) -> Inside | None:
    """The node that makes the first value that is not finite, or a cast that loses values; None where neither is.

    `nodes` lie between partners; what they read of the reference is in `arrays`. A value that is not finite counts
    where `expected`, the reference's at their end, has none.
    """
    if len(nodes) < 2:
        return None
    names = [name for node in nodes for name in node.writes]
    try:
        values = run_part(part(graph, nodes, arrays, names, rename), arrays, names)
    except RuntimeError:
        return None
    known = {**values, **{name: arrays[fed] for name, fed in rename.items()}, **arrays}
    constants = {
        name: numpy_helper.to_array(graph.initializers[name])
        for node in nodes
        for name in node.reads
        if name in graph.initializers
    }
    finite_end = not _odd(expected)
    for node in nodes:
        reads = [known.get(name, constants.get(name)) for name in node.reads]
        for name in node.writes:
            found = values.get(name)
            if found is None:
                continue
            if finite_end and _odd(found) and not any(read is not None and _odd(read) for read in reads):
                words = f"makes {_odd_words(found)} of finite values, where the reference has none"
                return _named(entry, nodes, node, name, found, (math.inf, math.inf), words)
            lost = _lost(node, reads[0] if reads else None, found)
            if lost is not None:
                return _named(entry, nodes, node, name, found, *lost)
    return None


def _named(
    entry: Entry,
    nodes: Sequence[GraphNode],
    node: GraphNode,
    name: str,
    actual: Array,
    size: tuple[float, float],
    words: str,
    expected: Array | None = None,
) -> Inside:
    before = _needed(nodes, node)
    made = replace(
        entry,
        position=node.index,
        node=node.name,
        op_type=node.op_type,
        output=name,
        shape=tuple(actual.shape),
        elements=int(actual.size),
        local_max_abs=size[0],
        local_rel_l2=size[1],
        local_typical_rel=None,
        hint=words,
        between=tuple(one.name for one in before),
    )
    finite = np.nan_to_num(np.asarray(actual, np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    return Inside(made, finite if expected is None else expected, actual, before)


def _needed(nodes: Sequence[GraphNode], last: GraphNode) -> list[GraphNode]:
    wanted, kept = set(last.reads), [last]
    for node in reversed([one for one in nodes if one.index < last.index]):
        if wanted.intersection(node.writes):
            wanted.update(node.reads)
            kept.append(node)
    return kept[::-1]


def _odd(array: Array) -> bool:
    return array.dtype.kind == "f" and not bool(np.isfinite(array).all())


def _odd_words(array: Array) -> str:
    nans, infinite = int(np.isnan(array).sum()), int(np.isinf(array).sum())
    told = [f"{count} {word}" for count, word in ((nans, "NaN"), (infinite, "infinite values")) if count]
    return " and ".join(told)


def _lost(node: GraphNode, read: Array | None, made: Array) -> tuple[tuple[float, float], str, Array] | None:
    """The error of a cast that does not keep what it is given, beyond rounding: whole numbers that do not fit."""
    if node.op_type != "Cast" or read is None or made.dtype.kind not in "iu" or read.dtype.kind not in "fiu":
        return None
    wide = read.astype(np.float64)
    if not np.isfinite(wide).all():
        return None
    limits = np.iinfo(made.dtype)
    beyond = (np.trunc(wide) < float(limits.min)) | (np.trunc(wide) > float(limits.max))
    if not beyond.any():
        return None
    gap = np.abs(made.astype(np.float64) - wide)
    norm = float(np.linalg.norm(wide))
    kind = f"{int(beyond.sum())} of {made.size} values are beyond {made.dtype.name} ({limits.min} to {limits.max})"
    wraps = 2.0 ** (8 * made.dtype.itemsize)
    off = (wide - made.astype(np.float64))[beyond] / wraps
    turned = read.dtype.kind in "iu" and bool(np.all(off == np.round(off)))
    words = f"{kind}: they lost multiples of 2^{8 * made.dtype.itemsize}" if turned else kind
    return (float(gap.max()), float(np.linalg.norm(gap)) / norm if norm else math.inf), words, wide


def in_codes(op_type: str) -> bool:
    """Whether an operator makes codes, reads them, or computes with them."""
    return "Quantize" in op_type or "Integer" in op_type or op_type.startswith("QLinear")


def of_codes(graph: Graph, node: GraphNode, between: Iterable[str], expected: Array) -> float:
    """Relative L2 error that codes may leave: of a known step, its uniform error; else that of 8 bits.

    A step of s leaves s / sqrt(12) an element (Bennett 1948). 0 where nothing between the partners is in codes.
    """
    kinds = [one.op_type for one in graph.named(between)]
    if not any(in_codes(kind) for kind in kinds):
        return 0.0
    norm = float(np.linalg.norm(expected.astype(np.float64))) if expected.dtype.kind == "f" else 0.0
    scale = (
        graph.initializers.get(node.reads[1]) if node.op_type == "DequantizeLinear" and len(node.reads) > 1 else None
    )
    if scale is None or norm == 0:
        return _OF_CODES
    step = float(np.sqrt(np.mean(numpy_helper.to_array(scale).astype(np.float64) ** 2)))
    return step / math.sqrt(12) * math.sqrt(expected.size) / norm


def that_come_through(graph: Graph, entries: Sequence[Entry], suspects: Sequence[Suspect]) -> list[Suspect]:
    """Suspects whose error reaches an output of the graph, in order.

    One whose readers agree again with the reference is none: a mask of -65504 for -1e9 does the same, a convolution
    whose ReLU was folded into the next step loses nothing. Read from the candidate's own chain: before the first fault
    that comes through, an error in it can only be that of a suspect above.
    """
    seen = {entry.output: entry for entry in entries}
    readers: dict[str, list[GraphNode]] = {}
    for node in graph.nodes:
        for name in node.reads:
            readers.setdefault(name, []).append(node)
    return [one for one in suspects if _reaches(graph, seen, readers, one.entry)]


def _reaches(graph: Graph, seen: Mapping[str, Entry], readers: Mapping[str, list[GraphNode]], start: Entry) -> bool:
    if _agrees(start, start):
        return False  # what it was fed was not what its partner reads: by itself it computes the right values
    waiting, visited = [start.output], set[str]()
    outputs = set(graph.outputs)
    while waiting:
        name = waiting.pop()
        if name in visited:
            continue
        visited.add(name)
        entry = seen.get(name)
        if entry is not None and name != start.output and _agrees(entry, start):
            continue
        if name in outputs:
            return True
        waiting += [made for node in readers.get(name, []) for made in node.writes]
    return False


def _agrees(entry: Entry, start: Entry) -> bool:
    """Whether nothing of an error is left in a later tensor."""
    if entry.accumulated_rel_l2 is None:
        return False
    found = max(entry.accumulated_rel_l2, (entry.accumulated_typical_rel or 0.0) / _TYPICAL)
    was = max(start.local_rel_l2 or 0.0, (start.local_typical_rel or 0.0) / _TYPICAL)
    return found <= max(2 * entry.expected_rel_l2, min(_AGREES * entry.expected_rel_l2, was / _GONE))
