"""The models of a suite, opened each in a worker before a run relies on them: what they take and give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from assay.runner.run.prepare import source_of
from assay.runner.suites.case import Case
from assay.runner.suites.suite import Suite
from assay.runner.worker.events.facts import NotMade, PortsRead, Rehearsed
from assay.runner.worker.job import RehearsalJob
from assay.runner.worker.process import Worker, WorkerFailed

_MISSING = ("EnvironmentMissing", "ModuleNotFoundError", "ImportError")


@dataclass(slots=True)
class Rehearsal:
    """What one model was seen to take and give."""

    model: str
    reference: str
    """The backend that opened it."""
    file: PortsRead | None = None
    """Ports of the ONNX file that the suite gives, where it gives one."""
    batches: dict[str, Rehearsed] = field(default_factory=dict)
    """Workload -> its first batch, through the model."""
    failed: dict[str, str] = field(default_factory=dict)
    """Workload -> why the model could not run it; "" stands for all of them."""
    missing: str | None = None
    """What this host lacks to open it: nothing is wrong with the suite."""


def rehearse(suite: Suite, folder: Path, cases: Sequence[Case]) -> Iterator[Rehearsal]:
    """Each model of the cases, opened once, in the order in which they are named."""
    for model in dict.fromkeys(case.model for case in cases):
        yield _rehearsed(suite, folder, [case for case in cases if case.model == model])


def _rehearsed(suite: Suite, folder: Path, cases: Sequence[Case]) -> Rehearsal:
    first = cases[0]
    files, model = first.files, suite.model[first.model]
    reference = first.reference or ("pytorch" if files.pytorch else "onnxruntime" if files.onnx else "fake")
    choice = suite.backend_named(reference)
    seen = Rehearsal(first.model, reference)
    workloads = [case.workload for case in cases if case.golden is None and case.workload in suite.workload]
    job = RehearsalJob(
        backend=choice.kind,
        options=choice.session_options(),
        source={**source_of(suite, first, choice.kind, folder), "recipe": None},
        folder=str(folder),
        seed=suite.seed,
        onnx=files.onnx,
        onnx_options=files.onnx_options,
        workloads={
            name: suite.workload[name].model_dump(mode="json", exclude_none=True) for name in dict.fromkeys(workloads)
        },
        contract=model.contract,
        contract_options=model.contract_options,
    )
    try:
        with Worker(job, python=choice.python, timeout_s=suite.timeout_s) as worker:
            for event in worker.events():
                match event:
                    case PortsRead():
                        seen.file = event
                    case Rehearsed():
                        seen.batches[event.workload] = event
                    case NotMade():
                        _note_failure(seen, event.workload or "", event.type, event.message)
    except WorkerFailed as failure:
        _note_failure(seen, "", failure.kind, failure.message)
    return seen


def _note_failure(seen: Rehearsal, workload: str, kind: str, message: str) -> None:
    said = message.strip().partition("\n")[0]
    if kind in _MISSING or "ModuleNotFoundError: " in said:
        seen.missing = said
    else:
        seen.failed[workload] = said
