"""Both chains of the candidate and the reference, in step: values come, are compared, and go after their last use."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from onnx import helper

from assay.runner.divergence import align
from assay.runner.divergence.onnx_walk import run_part
from assay.runner.divergence.reference import Reference, RefNode, origin
from assay.runner.divergence.suspects import Entry, Suspect, look_inside, of_codes
from assay.runner.graphs.onnx_graph import Graph, GraphNode, part, reduction_length, segments
from assay.runner.parity.compare import tally
from assay.runner.parity.receipt import receipt
from assay.runner.tensors import Array, Tensors

_LOCAL = "reference::"
"""Prefix of what a node reads when it is fed the reference's value."""
_EPSILON = {"float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8, "float64": 2.0**-53}
_NO_ROUNDING = 2.0**-96
"""Less than one unit in the largest of very many integers is of their norm."""
_JUMP = 16.0
"""A local error this many times what rounding may do is a suspect."""
_DIFFERING = 0.05
_MEDIAN_OF = 1 << 18
_MOST_SUSPECTS = 32
"""Kept with their arrays, in files: of those before the one that is named, others may turn out to be harmless."""


class Walk:
    """Both chains of the candidate (its own, and fed by the reference) and the reference, in step."""

    def __init__(
        self, graph: Graph, reference: Reference, alignment: align.Alignment, inputs: Tensors, fed: Tensors, budget: int
    ) -> None:
        self.graph, self.alignment, self.pairs, self.inputs = graph, alignment, alignment.pairs, inputs
        self.suspects: list[Suspect] = []
        """Nodes whose own error is more than rounding, in order; the first of many."""
        self.made: Tensors = {}
        """What the candidate's chain gave, by output of its graph."""
        self.right: Tensors = {}
        """What the reference gave in its place."""
        self.runs = segments(graph, budget)
        self.count = len(self.runs)
        self._ops: dict[str, RefNode] = {node.name: node for node in reference.nodes}
        self._values = reference.values(fed)
        self._held: Tensors = {}
        self._own: Tensors = dict(inputs)
        self._local: Tensors = dict(inputs)
        self._last = graph.last_use()
        self._last_segment = self._reference_needs()
        self.shapes: dict[str, tuple[int, ...]] = {name: array.shape for name, array in inputs.items()}
        self._between: dict[str, tuple[str, ...]] = {}
        self._fed_from: dict[str, Tensors] = {}
        self.wrong_shape: set[str] = set()
        self.dtypes: dict[str, Any] = {}
        self.beyond: dict[str, str] = {}
        """Tensors whose values of the reference do not exist in the candidate's type -> in words."""

    def _reference_needs(self) -> dict[str, int]:
        """Reference value -> the last segment in which the candidate's partner is made or read."""
        needs: dict[str, int] = {}
        for number, run in enumerate(self.runs):
            for node in run:
                for name in (*node.reads, *node.writes):
                    if name in self.pairs:
                        needs[self.pairs[name]] = number
        return needs

    def _advance(self, number: int) -> None:
        """Compute the reference until it has everything that a segment needs; keep only what is needed."""
        wanted = {
            self.pairs[name] for node in self.runs[number] for name in (*node.reads, *node.writes) if name in self.pairs
        }
        while not wanted <= self._held.keys():
            try:
                name, value = next(self._values)
            except StopIteration:
                return
            if self._last_segment.get(name, -1) >= number:
                self._held[name] = value

    def entries(self) -> Iterator[Entry]:
        """Of every node output that has a counterpart, in the order of execution."""
        for number in range(len(self.runs)):
            yield from self._segment(number)  # a method of its own, so that nothing of it outlives it

    def _segment(self, number: int) -> Iterator[Entry]:
        run, last = self.runs[number], self._last
        self._advance(number)
        end = run[-1].index
        kept = [n for node in run for n in node.writes if n in self.pairs or last.get(n, -1) > end]
        reads = {n: self._own[n] for node in run for n in node.reads if n in self._own}
        values = run_part(part(self.graph, run, reads, kept), reads, kept)
        for name, array in values.items():
            self.shapes[name], self.dtypes[name] = array.shape, array.dtype
            theirs = self._held.get(self.pairs.get(name, ""))
            if theirs is not None and theirs.size != array.size:
                self.wrong_shape.add(name)
        self.made.update({name: spilled(array) for name, array in values.items() if name in self.graph.outputs})
        fed = self._run_local(run, self._local, kept)
        for node in run:
            self._note_between(node)
            yield from self._compare(node, values, fed)
        self._own = {n: a for n, a in (*self._own.items(), *values.items()) if last.get(n, -1) > end}
        self._local = {
            n: a for n, a in (*self._local.items(), *fed.items()) if last.get(n, -1) > end and not self.aligned(n)
        }
        self._held = {n: a for n, a in self._held.items() if self._last_segment[n] > number}
        self._fed_from = {n: a for n, a in self._fed_from.items() if last.get(n, -1) > end and not self.aligned(n)}

    def aligned(self, name: str) -> bool:
        return name in self.pairs and name not in self.wrong_shape

    def reference_value(self, name: str) -> Array | None:
        """The reference's value of a candidate's tensor, in its shape and the reference's own type."""
        value = self._held.get(self.pairs.get(name, "")) if self.aligned(name) else None
        return None if value is None else value.reshape(self.shapes.get(name, value.shape))

    def _fed(self, name: str) -> Array | None:
        """The same as the candidate can take it: in its type, what is beyond that type's range at the range's end."""
        value = self.reference_value(name)
        if value is None:
            return None
        kind = self.dtypes.get(name, value.dtype)
        narrowed, beyond = narrow(value, kind)
        if beyond:
            self.beyond[name] = beyond
        return narrowed

    def feeds(self, nodes: list[GraphNode], local: Tensors) -> tuple[dict[str, str], Tensors]:
        """What the nodes read instead, and the arrays: the reference's value wherever there is one."""
        rename, arrays = {}, {}
        for name in dict.fromkeys(n for node in nodes for n in node.reads):
            value = self._fed(name)
            if value is not None:
                rename[name] = _LOCAL + name
                arrays[_LOCAL + name] = value
            elif name in local:
                arrays[name] = local[name]
        return rename, arrays

    def _run_local(self, run: list[GraphNode], local: Tensors, outputs: list[str]) -> Tensors:
        rename, arrays = self.feeds(run, local)
        try:
            return run_part(part(self.graph, run, arrays, outputs, rename), arrays, outputs)
        except RuntimeError:
            return {}  # fed values that this graph would not have made: its local errors stay unknown

    def _note_between(self, node: GraphNode) -> None:
        """For each output: the nodes since the last aligned tensors, and the values of the reference that they read."""
        before: dict[str, None] = {}
        fed: Tensors = {}
        for name in node.reads:
            value = self._fed(name)
            if value is not None:
                fed[_LOCAL + name] = value
            elif name in self.inputs:
                fed[name] = self.inputs[name]
            else:
                before.update(dict.fromkeys(self._between.get(name, ())))
                fed.update(self._fed_from.get(name, {}))
        for name in node.writes:
            self._between[name] = (*before, node.name)
            self._fed_from[name] = fed

    def _capture(self, entry: Entry, expected: Array, actual: Array | None) -> None:
        """Keep what reproduces a suspect, while the values that it needs are still here."""
        nodes, arrays = self.graph.named(entry.between), self._fed_from[entry.output]
        rename = {name.removeprefix(_LOCAL): name for name in arrays if name.startswith(_LOCAL)}
        inside = look_inside(self.graph, nodes, arrays, rename, entry, expected)
        if inside is not None:
            entry, actual, expected, nodes = inside.entry, inside.actual, inside.expected, inside.nodes
        alone = part(self.graph, nodes, arrays, [entry.output], rename)
        kept = {name: spilled(array) for name, array in arrays.items()}
        found = None if actual is None else spilled(actual)
        self.suspects.append(Suspect(entry, spilled(expected), found, alone, kept))

    def _counterpart(self, name: str) -> RefNode:
        """The reference's node of a tensor.

        For a stand-in, the value that the candidate does not have, and what that reads.
        """
        found = self._ops.get(self.pairs[name], RefNode(self.pairs[name], "", None, ()))
        missing = self._ops.get(self.alignment.missing or "")
        if missing is None or name != self.alignment.stand_in:
            first = origin(found, self._ops)
            return (
                found if first is found else RefNode(found.name, f"{first.op} by {found.op}", first.layer, found.reads)
            )
        read = [self._ops[other].op for other in missing.reads if other in self._ops]
        return RefNode(
            missing.name, f"{missing.op} of {', '.join(read)}" if read else missing.op, missing.layer, missing.reads
        )

    def _compare(self, node: GraphNode, values: Tensors, fed: Tensors) -> Iterator[Entry]:
        for name in node.writes:
            expected = self.reference_value(name)
            if name in self.wrong_shape and name in fed and name in self.graph.outputs:
                yield from self._misshapen(node, name, fed[name])
            if expected is None or name not in values:
                continue
            if name in self.graph.outputs:
                self.right[name] = spilled(expected)
            mine = None if self._unfair(node) else fed.get(name)
            entry = self._entry(node, name, expected, values[name], mine)
            if is_suspect(entry) and len(self.suspects) < _MOST_SUSPECTS:
                self._capture(entry, expected, mine)
            yield entry

    def _entry(self, node: GraphNode, name: str, expected: Array, own: Array, mine: Array | None) -> Entry:
        whole, alone = errors(expected, own), errors(expected, mine)
        theirs, between = self._counterpart(name), self._between[name]
        length = reduction_length(self.graph, node, self.shapes)
        allowed = rounding(self._coarsest(between, expected.dtype, own.dtype), length, len(between))
        allowed = max(allowed, of_codes(self.graph, node, between, expected))
        return Entry(
            position=node.index, node=node.name, op_type=node.op_type, layer=theirs.layer or node.layer, reference_node=theirs.name,
            reference_op=theirs.op, output=name, shape=tuple(expected.shape), elements=int(expected.size),
            accumulated_max_abs=whole[0], accumulated_rel_l2=whole[1], local_max_abs=alone[0], local_rel_l2=alone[1],
            local_typical_rel=_typical(expected, mine), expected_rel_l2=allowed, between=between, hint=self.beyond.get(name),
            accumulated_typical_rel=_typical(expected, own),
        )  # fmt: skip

    def _coarsest(self, between: tuple[str, ...], *kinds: Any) -> Any:
        """Of the types on the way the one that rounds most: a result in float32 of sums in half is of half."""
        inner = {
            self.graph.types.get(name) for node in self.graph.named(between) for name in (*node.reads, *node.writes)
        }
        known = [helper.tensor_dtype_to_np_dtype(kind) for kind in inner if kind]
        return _narrower(*kinds, *known)

    def _unfair(self, node: GraphNode) -> bool:
        """Whether a node was fed values that its type does not have: what it makes of them says nothing of it."""
        return any(name in self.beyond for name in node.reads)

    def _misshapen(self, node: GraphNode, name: str, mine: Array) -> Iterator[Entry]:
        """An output that has another number of elements than its partner, though fed by the reference."""
        value = self._held.get(self.pairs[name])
        if value is None or mine.size == value.size:
            return
        entry = replace(
            self._entry(node, name, value, mine, mine),
            shape=tuple(mine.shape),
            elements=int(mine.size),
            expected_rel_l2=_NO_ROUNDING,
            hint=f"its shape is {_sized(mine.shape)}, the reference's {_sized(value.shape)}",
        )
        if len(self.suspects) < _MOST_SUSPECTS:
            self._capture(entry, value, mine)
        yield entry


def spilled(array: Array) -> Array:
    """The array, mapped from a file without a name: a walk must not hold what it keeps for the end."""
    if not array.nbytes:
        return array
    with tempfile.TemporaryFile() as file:
        np.asarray(array, order="C").tofile(file)
        file.flush()
        mapped: Array = np.memmap(file, array.dtype, "r", shape=array.shape)
    return mapped


def rounding(dtype: Any, length: int, nodes: int) -> float:
    """Relative L2 error that rounding may leave.

    A few units in the last place, growing with the root of what is added up; of whole numbers nothing that a unit
    anywhere would be hidden by.
    """
    if dtype.kind in "iub":
        return _NO_ROUNDING
    unit = _EPSILON.get(dtype.name, 2.0**-24)
    return 2 * unit * math.sqrt(max(length, 1)) * math.sqrt(nodes) + 2 * unit


def errors(expected: Array, actual: Array | None) -> tuple[float | None, float | None]:
    """(max_abs, rel_l2) in the wider of both types; infinite where something is finite on one side only."""
    if actual is None or expected.shape != actual.shape:
        return None, None
    if expected.dtype != actual.dtype:
        wider = np.result_type(expected.dtype, actual.dtype)
        expected, actual = expected.astype(wider), actual.astype(wider)
    found = tally(expected, actual, nan_equal=True)
    made = receipt(found, expected.shape)
    if found.nonfinite_mismatches:
        return math.inf, math.inf
    return made["max_abs"], made["rel_l2"]


def narrow(value: Array, kind: Any) -> tuple[Array, str | None]:
    """A value in another type: what is beyond its range is put at the range's end, and said in words."""
    kind = np.dtype(kind)
    if kind == value.dtype:
        return value, None
    if value.dtype.kind not in "fiu" or (kind.kind not in "iu" and kind.name not in _EPSILON):
        return value.astype(kind), None
    low, high = _range(kind)
    wide = value.astype(np.float64)
    beyond = np.isfinite(wide) & ((wide < low) | (wide > high))
    if not beyond.any():
        return value.astype(kind), None
    worst = float(wide[beyond][np.abs(wide[beyond]).argmax()])
    count = f"{int(beyond.sum())} of {value.size} values (up to {worst:.6g})"
    words = f"{count} do not exist in {kind.name}: its range ends at {high:.6g}"
    kept = np.where(beyond, np.clip(wide, low, high), wide)
    return kept.astype(kind), words


def _range(kind: Any) -> tuple[float, float]:
    if kind.kind in "iu":
        return float(np.iinfo(kind).min), float(np.iinfo(kind).max)
    largest = {"float16": 65504.0, "bfloat16": 3.3895313892515355e38}.get(kind.name)
    return (-largest, largest) if largest else (float(np.finfo(kind).min), float(np.finfo(kind).max))


def _narrower(expected: Any, own: Any, *others: Any) -> Any:
    """Of some types the one that rounds most; a whole number rounds nothing, whatever it was made of."""
    if own.kind in "iub":
        return own
    known = [kind for kind in (expected, own, *others) if kind.name in _EPSILON]
    return max(known, key=lambda kind: _EPSILON[kind.name]) if known else own


def _sized(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a scalar"


def _typical(expected: Array, actual: Array | None) -> float | None:
    if actual is None or expected.shape != actual.shape or expected.dtype.kind != "f" or not expected.size:
        return None
    stride = -(-expected.size // _MEDIAN_OF)
    x, y = (side.reshape(-1)[::stride].astype(np.float64) for side in (expected, actual))
    with np.errstate(invalid="ignore"):
        differ = np.isfinite(x) & np.isfinite(y) & (x != y) & (x != 0)
    if differ.sum() < max(4, _DIFFERING * x.size):
        return None
    return float(np.median(np.abs(y[differ] - x[differ]) / np.abs(x[differ])))


def is_suspect(entry: Entry) -> bool:
    """Whether a node's own error is more than rounding."""
    return entry.jump > _JUMP
