"""Running parts of an ONNX graph in ONNX Runtime, without its optimizations: every node computes what the file says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import onnxruntime as ort

from assay.runner.divergence.reference import RefNode
from assay.runner.graphs.onnx_graph import Graph, GraphNode, part, segments
from assay.runner.tensors import Array, Tensors


def run_part(serialised: bytes, inputs: Tensors, outputs: Sequence[str]) -> Tensors:
    """Outputs of a part.

    Raises:
        RuntimeError: ONNX Runtime cannot load or run it; its words.
    """
    settings = ort.SessionOptions()
    settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    settings.log_severity_level = 4
    settings.enable_cpu_mem_arena = False  # an arena keeps what a session frees, and there is a session a segment
    settings.use_deterministic_compute = True
    try:
        session = ort.InferenceSession(serialised, settings, providers=["CPUExecutionProvider"])
        wanted = {port.name for port in session.get_inputs()}
        values = session.run(
            list(outputs), {name: np.asarray(array, order="C") for name, array in inputs.items() if name in wanted}
        )
    except Exception as error:
        raise RuntimeError(str(error).strip()[:400]) from error
    return dict(zip(outputs, (np.asarray(value) for value in values), strict=True))


class OnnxReference:
    """A float ONNX graph as the reference: its values in order, a segment at a time."""

    def __init__(self, graph: Graph, budget: int) -> None:
        self._graph = graph
        self._budget = budget
        data = graph.data_dependent()
        self.nodes = [
            RefNode(name, node.op_type, node.layer, tuple(r for r in node.reads if r in data))
            for node in graph.nodes
            for name in node.writes
            if name in data
        ]
        self.inputs = list(graph.inputs)
        self.outputs = list(graph.outputs)

    def values(self, inputs: Tensors) -> Iterator[tuple[str, Array]]:
        """(name, value) of every tensor, in the order of execution."""
        last = self._graph.last_use()
        live: Tensors = dict(inputs)
        for run in segments(self._graph, self._budget):
            reads = {name for node in run for name in node.reads if name in live}
            made = _outputs(run)
            values = run_part(part(self._graph, run, {n: live[n] for n in reads}, made), live, made)
            end = run[-1].index
            live = {name: array for name, array in (*live.items(), *values.items()) if last.get(name, -1) > end}
            yield from values.items()


def _outputs(run: Sequence[GraphNode]) -> list[str]:
    return [name for node in run for name in node.writes]
