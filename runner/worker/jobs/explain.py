"""Walk the reference's and the candidate's graphs on one recorded step: which link of the chain adds the error?"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from assay.runner.errors import UsageError
from assay.runner.tensors import Tensors
from assay.runner.worker.events.event import Events
from assay.runner.worker.events.facts import Noted, NotWalkable, ReproductionWritten, Walked
from assay.runner.worker.events.rows import EdgeBlamed, NodeWalked
from assay.runner.worker.job import ExplainJob
from assay.runner.worker.jobs.session import Renamed, open_session, spread_steps
from assay.runner.workloads import golden


def run(job: ExplainJob, events: Events) -> None:
    """Events: `walk`, an `entry` a node with a counterpart, `reproduction`, and a `blame` for each edge and output."""
    recorded = golden.read(Path(job.goldens), job.golden)
    inputs = recorded.inputs(job.step)
    with ExitStack() as stack:
        original = stack.enter_context(open_session(replace(job, **job.reference))) if job.reference else None
        if job.source["kind"] == "onnx":
            _walk(job, events, original, inputs)
        elif job.source["kind"] == "engine":
            _walk_engine(job, events, inputs)
        else:
            events.emit(NotWalkable(reason="the candidate is no ONNX file: there is no graph to walk, only the chain"))
        from assay.runner.divergence.blame import chain

        steps = [recorded.inputs(step) for step in {*spread_steps(len(recorded.steps)), job.step}]
        for edge in chain([*_links(job, original, stack)], steps):
            events.emit(EdgeBlamed(**edge))


def _as_candidate(job: ExplainJob, inputs: Tensors) -> Tensors:
    """A step's inputs under the candidate's names."""
    return {job.rename_inputs.get(name, name): array for name, array in inputs.items()}


def _walk_engine(job: ExplainJob, events: Events, inputs: Tensors) -> None:
    """An engine against its own ONNX file; what that file adds, the chain says."""
    from assay.runner.backends import tensorrt_debug
    from assay.runner.divergence.engine_walk import explain_engine
    from assay.runner.divergence.repro import write_reproduction

    fed = _as_candidate(job, inputs)
    file, options = Path(job.onnx), job.engine_options
    device = job.options.get("device", "cuda")
    found = explain_engine(file, lambda marked: tensorrt_debug.observe(file, fed, options, device, marked), fed)
    folder = write_reproduction(Path(job.out), found.suspect, by_candidate=True)
    _tell(events, found, folder)


def _walk(job: ExplainJob, events: Events, original: Any, inputs: Tensors) -> None:
    from assay.runner.divergence.explanation import explain
    from assay.runner.divergence.repro import write_reproduction

    candidate_inputs = _as_candidate(job, inputs)
    candidate = Path(job.source["location"])
    reference = _reference(job, events, original, inputs)
    renamed = candidate_inputs if job.float_onnx else inputs
    folder = Path(job.out)
    found = explain(
        candidate,
        reference,
        candidate_inputs,
        max_memory=job.max_memory,
        reference_inputs=renamed,
        outputs=_outputs(job, reference, () if original is None else [*original.infer(inputs)]),
        confirm=lambda suspect: write_reproduction(folder, suspect) is not None,
    )
    _tell(events, found, folder if found.suspect else None)


def _outputs(job: ExplainJob, reference: Any, order: Sequence[str]) -> dict[str, int] | None:
    """The candidate's outputs -> positions of the reference's, by the names that parity compares; None: in order."""
    names = list(reference.outputs)
    if job.float_onnx:
        return {name: position for position, name in enumerate(names)}
    if len(names) != len(order):
        return None
    ours = {theirs: mine for mine, theirs in job.rename.items()}
    return {ours.get(name, name): position for position, name in enumerate(order)}


def _tell(events: Events, found: Any, folder: Path | None) -> None:
    """What a walk found, and where its suspect can be seen alone."""
    events.emit(
        Walked(
            by=found.by,
            nodes=found.nodes,
            aligned=found.aligned,
            segments=found.segments,
            peak_live_bytes=found.peak_live_bytes,
            budget=found.budget,
        )
    )
    first = found.suspect.entry if found.suspect else None
    for entry in found.entries:
        events.emit(NodeWalked(position=entry.position, node=entry.node, op_type=entry.op_type, layer=entry.layer,
            reference_node=f"{entry.reference_op} {entry.reference_node}".strip(), output=entry.output, shape=list(entry.shape),
            elements=entry.elements, accumulated_max_abs=entry.accumulated_max_abs, accumulated_rel_l2=entry.accumulated_rel_l2,
            local_max_abs=entry.local_max_abs, local_rel_l2=entry.local_rel_l2, local_typical_rel=entry.local_typical_rel,
            expected_rel_l2=entry.expected_rel_l2, suspect=entry is first, hint=entry.hint,
        ))  # fmt: skip
    for one, other in found.crossed:
        words = f"outputs {one!r} and {other!r} are exchanged: each is what the other should be; no node is wrong"
        events.emit(Noted(message=words))
    if folder is not None:
        events.emit(ReproductionWritten(folder=str(folder), between=list(first.between) if first else []))


def _reference(job: ExplainJob, events: Events, original: Any, inputs: Tensors) -> Any:
    """What the candidate is walked against: the float ONNX file it was made from, or the PyTorch module."""
    if job.float_onnx:
        from assay.runner.divergence.onnx_walk import OnnxReference
        from assay.runner.graphs.onnx_graph import load

        graph = load(Path(job.float_onnx), inputs)
        return OnnxReference(graph, max(graph.peak_live_bytes() // 6, 1 << 20))
    module = original.module if original is not None else None
    if module is None:
        raise UsageError(
            "the reference has no graph: it is a golden, or a backend that cannot be looked into. Give the model"
            " `pytorch`, or compare a variant with its float ONNX file."
        )
    from assay.runner.divergence.torch_walk import TorchReference

    try:
        return TorchReference(module, inputs)
    except UsageError as why:
        from assay.runner.divergence.eager_walk import EagerReference

        found = EagerReference(module, inputs)
        first = str(why).splitlines()[0][:200]
        events.emit(Noted(message=f"the reference is watched while it runs, because no exporter takes it ({first})"))
        return found


def _links(job: ExplainJob, original: Any, stack: ExitStack) -> Iterator[Any]:
    """From float64 to what ships."""
    from assay.runner.divergence.blame import Link

    if original is not None and original.arithmetics:
        yield Link("torch float64", lambda inputs: original.infer_as(inputs, "float64"))
        yield Link("torch float32", original.infer)
        yield _exported(original)
    files = [("float ", job.float_onnx)] if job.float_onnx else []
    if job.source["kind"] in ("onnx", "engine"):
        files.append(("", job.onnx))
    for word, path in files:
        for level, name in (("none", "unoptimized"), ("all", "optimized")):
            yield _opened(
                stack,
                job,
                f"{word}ONNX {name}",
                {
                    "backend": "onnxruntime",
                    "source": {**job.source, "kind": "onnx", "location": str(path)},
                    "options": {"graph_optimization": level, "threads": 1},
                },
            )
    yield _opened(stack, job, f"as shipped ({job.candidate})", {})


def _opened(stack: ExitStack, job: ExplainJob, name: str, how: dict[str, Any]) -> Any:
    from assay.runner.divergence.blame import Link

    try:
        session = stack.enter_context(open_session(replace(job, **how)))
    except Exception as error:  # noqa: BLE001  a link that cannot be made is told, and the chain goes on
        return Link(name, None, str(error)[:200])
    return Link(name, Renamed(session, job.rename_inputs, job.rename).infer)


def _exported(original: Any) -> Any:
    """The module as torch.export sees it, exported anew for each set of shapes."""
    from assay.runner.divergence.blame import Link
    from assay.runner.divergence.torch_walk import exported_program

    modules: dict[str, Any] = {}

    def infer(inputs: Tensors) -> Tensors:
        key = str([(name, array.shape) for name, array in inputs.items()])
        if key not in modules:
            modules[key] = exported_program(original.module, inputs).module(check_guards=False)
        session = copy.copy(original)
        session.module = session._call = modules[key]  # noqa: SLF001  the same session around the exported module
        made: Tensors = session.infer(inputs)
        return made

    return Link("exported program", infer)
