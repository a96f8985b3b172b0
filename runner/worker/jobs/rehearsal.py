"""Open a model and run the first batches of its workloads: what it takes and gives, before a suite relies on it.

Nothing is recorded. A workload that fails is reported, and the others go on; a model that cannot be opened ends it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from assay.runner.errors import UsageError, nearest
from assay.runner.parity.steps import reference_steps
from assay.runner.session import Session
from assay.runner.tensors import Array, Tensors
from assay.runner.worker.events.event import Events
from assay.runner.worker.events.facts import NotMade, Rehearsed
from assay.runner.worker.job import RehearsalJob
from assay.runner.worker.jobs.ports import ports_of
from assay.runner.worker.jobs.session import contract_of, open_session, plain
from assay.runner.workloads import stream
from assay.runner.workloads.asked import Workload

_STEPS = 2
"""So many steps of a model that feeds states back: the second takes what the first gave."""


def run(job: RehearsalJob, events: Events) -> None:
    """`ports` of the given ONNX file, if there is one; then a `rehearsed` of each workload."""
    with tempfile.TemporaryDirectory() as folder:
        if job.onnx is not None:
            path = _given(job, Path(folder))
            events.emit(ports_of(path))
            if job.source["kind"] == "onnx":
                job.source["location"] = str(path)
        with open_session(job) as session:
            for name, asked in job.workloads.items():
                try:
                    events.emit(_rehearsed(job, session, name, Workload.model_validate(asked)))
                except Exception as error:  # noqa: BLE001  the other workloads go on
                    events.emit(NotMade(workload=name, type=type(error).__name__, message=plain(error)))


def _rehearsed(job: RehearsalJob, session: Session, name: str, workload: Workload) -> Rehearsed:
    contract = contract_of(job)
    batches = [*islice(stream(workload, seed=job.seed, folder=Path(job.folder)), _STEPS if contract.state else 1)]
    problems: list[str] = []
    first: tuple[Tensors, Tensors] | None = None
    for number, (inputs, outputs) in enumerate(reference_steps(session, [given for given, _ in batches], contract)):
        first = first or (inputs, outputs)
        lost = [
            f"state {state.output!r} -> {state.input!r}: the model gives no output {state.output!r}."
            f"{nearest(state.output, outputs)}"
            for state in contract.state
            if state.output not in outputs
        ]
        problems += lost + [f"step {number}: {text}" for text in contract.violations(number, inputs, outputs)]
        if lost:
            break
    if first is None:
        raise UsageError("the workload has no batch")
    inputs, outputs = first
    return Rehearsed(
        workload=name,
        given=sorted(batches[0][0]),
        inputs=_described(inputs),
        outputs=_described(outputs),
        labels=_described(batches[0][1]),
        violations=list(dict.fromkeys(problems)),
    )


def _described(arrays: Mapping[str, Array]) -> dict[str, dict[str, Any]]:
    return {name: {"dtype": array.dtype.name, "shape": list(array.shape)} for name, array in arrays.items()}


def _given(job: RehearsalJob, folder: Path) -> Path:
    """The ONNX file that the suite gives, as a run would take it."""
    from assay.runner.recipes.build import Ingredients
    from assay.runner.recipes.given import build

    ingredients = Ingredients(
        target=folder / "model.onnx",
        options={},
        example={},
        module=None,
        base=None,
        onnx=job.onnx,
        onnx_options=job.onnx_options,
        folder=Path(job.folder),
        output_names=(),
    )
    build(ingredients)
    return ingredients.target
