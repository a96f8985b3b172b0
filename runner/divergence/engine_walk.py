"""First divergence inside an engine: its own tensors against the ONNX file that it was built from.

The engine shows the tensors that it did not fuse. Each is held against what ONNX Runtime makes, unoptimized, of the
engine's own tensors before it: that is its local error, the fusions in between included. Where a layer of several nodes
is wrong, the engine is built again with the tensors in between kept apart; an error that is then gone was made by
fusing them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from assay.runner.divergence import hints
from assay.runner.divergence.explanation import Explanation
from assay.runner.divergence.onnx_walk import OnnxReference, run_part
from assay.runner.divergence.suspects import Entry, Suspect
from assay.runner.divergence.walk import errors, is_suspect, rounding
from assay.runner.errors import UsageError
from assay.runner.graphs.onnx_graph import Graph, GraphNode, load, part, reduction_length
from assay.runner.tensors import Array, Tensors

Observe = Callable[[Collection[str]], Tensors]
"""Values of the engine by tensor: of those that it did not fuse, or (given names) of an engine that keeps these
apart."""
_ONE_CODE = 2.0**-11
"""Relative L2 error that a region with codes may have, times the factor of a suspect: values on the edge of two codes
may fall either way."""


@dataclass(frozen=True, slots=True)
class Region:
    """Nodes between a tensor of the engine and those that it shows before it."""

    nodes: tuple[GraphNode, ...]
    feeds: tuple[str, ...]


def explain_engine(onnx: Path, observe: Observe, inputs: Tensors) -> Explanation:
    """Walk an engine, once, and a second time in the region that is suspect.

    Memory: all tensors that the engine shows are held at once.

    Raises:
        UsageError: the engine shows no tensor that the file has.
    """
    graph = load(onnx, inputs)
    shown = _known(graph, observe(()), inputs)
    if not shown:
        raise UsageError("the engine shows no tensor under a name of its ONNX file: nothing of it can be compared.")
    entries, suspect = _compare(graph, shown, inputs)
    if suspect is not None and len(suspect.entry.between) > 1:
        entries, suspect = _closer(graph, observe, inputs, entries, suspect)
    if suspect is not None and suspect.entry.hint is None:
        shape = hints.pattern(suspect.expected, suspect.actual) if suspect.actual is not None else None
        entries, suspect = _with_hint(entries, suspect, shape)
    peak = sum(array.nbytes for array in shown.values())
    return Explanation(entries, "name", suspect, len(graph.nodes), len(shown), 1, peak, peak)


def _known(graph: Graph, values: Mapping[str, Array], inputs: Tensors) -> Tensors:
    """Those that the file has under the same name, in its order.

    What depends on no input says nothing of the engine.
    """
    data = graph.data_dependent()
    return {
        name: values[name]
        for node in graph.nodes
        for name in node.writes
        if name in values and name in data and name not in inputs
    }


def _compare(graph: Graph, shown: Tensors, inputs: Tensors) -> tuple[list[Entry], Suspect | None]:
    """An entry for each tensor that the engine shows, and the first that is wrong by itself."""
    accumulated = _accumulated(graph, shown, inputs)
    entries: list[Entry] = []
    suspect: Suspect | None = None
    for name, seen in shown.items():
        region = _region(graph, name, {*shown, *inputs} - {name})
        feeds = {feed: shown.get(feed, inputs.get(feed)) for feed in region.feeds}
        arrays = {feed: array for feed, array in feeds.items() if array is not None}
        made = {output for node in region.nodes for output in node.writes}
        inner = [node.reads[0] for node in region.nodes if node.reads and node.reads[0] in made]
        wanted = [name, *dict.fromkeys(tensor for tensor in inner if tensor != name)]
        try:
            values = run_part(part(graph, region.nodes, arrays, wanted), arrays, wanted)
        except RuntimeError:
            continue  # an engine may show a tensor in a type that the file has not: nothing is known of it alone
        model, expected = part(graph, region.nodes, arrays, [name]), values[name]
        shapes = {tensor: array.shape for tensor, array in (*arrays.items(), *values.items())}
        actual = seen.reshape(expected.shape) if seen.size == expected.size else seen
        entry = _entry(graph, region, name, expected, actual, shapes, accumulated.get(name, (None, None)))
        entries.append(entry)
        if suspect is None and is_suspect(entry):
            suspect = Suspect(entry, expected, actual if actual.shape == expected.shape else None, model, arrays)
    return entries, suspect


def _accumulated(graph: Graph, shown: Tensors, inputs: Tensors) -> dict[str, tuple[float | None, float | None]]:
    """Errors against the file run by itself from the first node on; its values are dropped as they have been seen."""
    reference = OnnxReference(graph, max(graph.peak_live_bytes() // 6, 1 << 20))
    return {
        name: errors(value, shown[name].reshape(value.shape) if shown[name].size == value.size else shown[name])
        for name, value in reference.values(inputs)
        if name in shown
    }


def _region(graph: Graph, name: str, ends: Collection[str]) -> Region:
    """Nodes that make a tensor from the nearest ones in `ends`."""
    wanted, feeds, indices = [name], [], set()
    while wanted:
        current = wanted.pop()
        node = graph.producer.get(current)
        if current in ends:
            feeds.append(current)
        elif node is not None and node.index not in indices:
            indices.add(node.index)
            wanted += [read for read in node.reads if read not in graph.initializers]
    return Region(tuple(node for node in graph.nodes if node.index in indices), tuple(dict.fromkeys(feeds)))


def _entry(
    graph: Graph, region: Region, name: str, expected: Array, actual: Array, shapes: Mapping[str, tuple[int, ...]],
    whole: tuple[float | None, float | None],
) -> Entry:  # fmt: skip
    last = graph.producer[name]
    alone = errors(expected, actual)
    names = tuple(node.name for node in region.nodes)
    added = max(reduction_length(graph, node, shapes) for node in region.nodes)
    allowed = rounding(expected.dtype, added, len(names))
    if any("Quantize" in node.op_type for node in region.nodes):
        allowed = max(allowed, _ONE_CODE)
    return Entry(
        position=last.index, node=last.name, op_type=last.op_type, layer=last.layer, reference_node=last.name, reference_op=last.op_type,
        output=name, shape=tuple(expected.shape), elements=int(expected.size), accumulated_max_abs=whole[0], accumulated_rel_l2=whole[1],
        local_max_abs=alone[0], local_rel_l2=alone[1], local_typical_rel=None, expected_rel_l2=allowed, between=names,
    )  # fmt: skip


def _closer(
    graph: Graph, observe: Observe, inputs: Tensors, entries: list[Entry], suspect: Suspect
) -> tuple[list[Entry], Suspect | None]:
    """The suspect region again, its tensors kept apart: the node that is wrong, or the fusion that made it wrong."""
    inside = [name for node in graph.named(suspect.entry.between) for name in node.writes]
    before = list(suspect.inputs)
    shown = _known(graph, observe([*inside, *(name for name in before if name not in inputs)]), inputs)
    apart, found = _compare(graph, shown, inputs)
    known = {entry.output for entry in apart}
    merged = sorted(
        [*apart, *(entry for entry in entries if entry.output not in known)], key=lambda entry: entry.position
    )
    if found is not None and found.entry.output in inside:
        return merged, found
    fused = ", ".join(suspect.entry.between)
    return _with_hint(entries, suspect, f"gone when its tensors are kept apart: it is made by fusing {fused}")


def _with_hint(entries: list[Entry], suspect: Suspect, hint: str | None) -> tuple[list[Entry], Suspect]:
    hinted = replace(suspect.entry, hint=hint)
    return [hinted if entry is suspect.entry else entry for entry in entries], replace(suspect, entry=hinted)
