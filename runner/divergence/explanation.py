"""The explanation of one case: candidate and reference walked side by side. Read `explain` first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from assay.runner.divergence import align, hints
from assay.runner.divergence.onnx_walk import run_part
from assay.runner.divergence.reference import Reference
from assay.runner.divergence.suspects import Entry, Suspect, in_codes, that_come_through
from assay.runner.divergence.walk import Walk, errors
from assay.runner.errors import UsageError
from assay.runner.graphs.onnx_graph import Graph, load, part, segments
from assay.runner.tensors import Array, Tensors

_NAMED_ENOUGH = 0.3
_LEAST_BUDGET = 1 << 20
_CROSSED = 1e-3
"""Relative L2 error below which two outputs are the same, above which they are not."""


@dataclass(slots=True)
class Explanation:
    """What a walk found."""

    entries: list[Entry]
    by: str
    """`name` or `value`: how tensors were aligned."""
    suspect: Suspect | None
    nodes: int
    aligned: int
    segments: int
    peak_live_bytes: int
    budget: int
    crossed: tuple[tuple[str, str], ...] = ()
    """Outputs of the candidate each of which is what the other should be: no node is wrong, two names are."""


def explain(
    candidate: Path,
    reference: Reference,
    inputs: Tensors,
    *,
    max_memory: int | None = None,
    reference_inputs: Tensors | None = None,
    outputs: Mapping[str, int] | None = None,
    confirm: Callable[[Suspect], bool] | None = None,
) -> Explanation:
    """Walk both graphs once (twice where names say nothing) on one step's inputs.

    `inputs` are in the candidate's names, `reference_inputs` in the reference's (the same if left out); `outputs` says
    which output of the candidate is which of the reference's, by position (in their order if left out and as many).
    Memory: values are dropped after their last use, and a segment's outputs stay within a third of what is alive at the
    fullest node, or within `max_memory` bytes altogether.

    The suspect is the first whose error reaches an output, and that `confirm` (its reproduction, run) shows.

    Raises:
        UsageError: `max_memory` is less than a single node needs; or nothing can be aligned.
    """
    fed = reference_inputs or inputs
    graph = load(candidate, inputs)
    peak = graph.peak_live_bytes()
    budget = _budget(graph, peak, max_memory)
    names = [name for node in graph.nodes for name in node.writes]
    data = graph.data_dependent()
    known = [node.name for node in reference.nodes]
    alignment = align.by_name(known, [n for n in names if n in data])
    ports = _ports(graph, reference, outputs)
    if len(alignment.pairs) < _NAMED_ENOUGH * min(len(known), len(data)):
        alignment = _by_value(graph, reference, inputs, fed, budget, ports)
    for output, theirs in ports.items():
        if alignment.by == "name" and output in data and theirs in set(known):
            alignment.pairs[output] = theirs  # whatever its name is: a graph may call any tensor `index`
    walk = Walk(graph, reference, alignment, inputs, fed, budget)
    entries = list(walk.entries())
    if not entries:
        raise UsageError(
            "no tensor of the candidate has a counterpart in the reference: these are two different models."
        )
    crossed = _crossed(walk, entries)
    named = (one for one in that_come_through(graph, entries, walk.suspects) if confirm is None or confirm(one))
    suspect = None if crossed else next(named, None)
    if suspect is not None:
        first = suspect.entry
        if all(entry is not first for entry in entries):  # it has no partner of its own
            entries = sorted([*entries, first], key=lambda entry: entry.position)
        hinted = replace(suspect.entry, hint=_hint(graph, suspect))
        entries = [hinted if entry is suspect.entry else entry for entry in entries]
        suspect = replace(suspect, entry=hinted)
    return Explanation(
        entries, alignment.by, suspect, len(graph.nodes), len(alignment.pairs), walk.count, peak, budget, crossed
    )


def _crossed(walk: Walk, entries: Sequence[Entry]) -> tuple[tuple[str, str], ...]:
    """Pairs of wrong outputs that agree crosswise."""
    wrong = [e for e in entries if e.output in walk.right and (e.accumulated_rel_l2 or 0.0) > _CROSSED]
    return tuple(
        (one.output, other.output)
        for one, other in combinations(wrong, 2)
        if _same(walk.right[one.output], walk.made[other.output])
        and _same(walk.right[other.output], walk.made[one.output])
    )


def _same(expected: Array, actual: Array) -> bool:
    gap = errors(expected, actual)[1]
    return gap is not None and gap <= _CROSSED


def _budget(graph: Graph, peak: int, max_memory: int | None) -> int:
    """Bytes of outputs in a segment.

    What is held at once: values that are alive on both sides (at most twice the peak), and a segment's outputs three
    times
    (reference, accumulated, local).
    """
    largest = max((sum(graph.bytes_of(name) for name in node.writes) for node in graph.nodes), default=0)
    if max_memory is None:
        return max(peak // 6, largest, _LEAST_BUDGET)
    least = 2 * peak + 3 * largest
    if max_memory < least:
        raise UsageError(f"--max-memory {max_memory} bytes is less than one node of this graph needs ({least} bytes).")
    return max(largest, (max_memory - 2 * peak) // 3)


def _ports(graph: Graph, reference: Reference, outputs: Mapping[str, int] | None) -> dict[str, str]:
    """The candidate's outputs -> the reference's values that they have to be."""
    if outputs is None:
        same = len(graph.outputs) == len(reference.outputs)
        outputs = {name: position for position, name in enumerate(graph.outputs)} if same else {}
    return {
        name: reference.outputs[position]
        for name, position in outputs.items()
        if name in graph.outputs and position < len(reference.outputs)
    }


def _by_value(
    graph: Graph, reference: Reference, inputs: Tensors, fed: Tensors, budget: int, ports: Mapping[str, str]
) -> align.Alignment:
    """Signatures of both sides, each in a pass of its own; only the signatures are kept."""
    data = graph.data_dependent()
    candidate = {
        name: align.signature(value)
        for name, value in _chain(graph, inputs, budget)
        if name in data and _numeric(value)
    }
    known = {node.name for node in reference.nodes}
    theirs = {
        name: align.signature(value) for name, value in reference.values(fed) if name in known and _numeric(value)
    }
    made = {
        name: align.Made(node.op_type, tuple(read for read in node.reads if read in data))
        for node in graph.nodes
        for name in node.writes
    }
    there = {
        output: name
        for output, name in ports.items()
        if output in candidate and name in theirs and candidate[output].size == theirs[name].size
    }
    return align.by_value(reference.nodes, theirs, candidate, reference.inputs, made, there)


def _numeric(value: Array) -> bool:
    return value.dtype.kind in "fiub" or value.dtype.name == "bfloat16"


def _chain(graph: Graph, inputs: Tensors, budget: int) -> Iterator[tuple[str, Array]]:
    """(name, value) of every tensor of the candidate by itself."""
    last, live = graph.last_use(), dict(inputs)
    for run in segments(graph, budget):
        made = [name for node in run for name in node.writes]
        values = run_part(
            part(graph, run, {n: live[n] for node in run for n in node.reads if n in live}, made), live, made
        )
        yield from values.items()
        live = {name: array for name, array in (*live.items(), *values.items()) if last.get(name, -1) > run[-1].index}


def _hint(graph: Graph, suspect: Suspect) -> str | None:
    """The shape of the error, its size against reduced precision, and the operator's known trap."""
    entry = suspect.entry
    if entry.hint is not None:
        return entry.hint  # seen, not guessed
    shape = hints.pattern(suspect.expected, suspect.actual) if suspect.actual is not None else None
    own = [node.op_type for node in graph.named(entry.between)]
    integers = [op for op in own if in_codes(op)]
    operators = [*integers, *entry.reference_op.split(), entry.op_type, *own]
    product = any(
        word in op.lower() for op in operators for word in ("matmul", "linear", "gemm", "conv", "mm", "einsum")
    )
    size = hints.reduced_precision(entry.local_rel_l2 or 0.0) if product and not integers else None
    return "; ".join(text for text in (shape, size, hints.trap(*operators)) if text) or None
