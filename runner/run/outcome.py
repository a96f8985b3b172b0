"""Everything known of a case when it is over, and what all cases of a run share."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from assay.runner.recipes import MODULE_RECIPES
from assay.runner.rules.policy import Judgement
from assay.runner.suites.case import Case
from assay.runner.timing import statistics
from assay.runner.timing.gpu import Sample
from assay.runner.worker.events.facts import LibraryImported, Measured, MemoryHeld, Opened, Ready
from assay.runner.worker.process import WorkerFailed
from assay.schema import rows
from assay.schema.store.spool import new_id

Facts = dict[str, Any]
"""What an event told, by field."""


@dataclass(frozen=True, slots=True)
class Launched:
    """A process that was timed, until it was ready."""

    imported: LibraryImported
    opened: Opened
    ready: Ready


@dataclass(slots=True)
class Outcome:
    """Everything known of one case when it is over."""

    case: Case
    version: str
    started_at: datetime
    case_id: str = field(default_factory=new_id)
    duration_s: float = 0.0
    status: str = "ok"
    error_type: str | None = None
    error_message: str | None = None
    opened: Facts = field(default_factory=dict)
    """What really ran."""
    prepared: Facts = field(default_factory=dict)
    """The workload's hashes."""
    artifact: rows.Artifact | None = None
    model_sha256: str | None = None
    """The identity of the model, as its preparation read it."""
    receipts: list[Facts] = field(default_factory=list)
    told: dict[str, list[Facts]] = field(default_factory=dict)
    """Kind of event (`step`, `invariant`, `liveness`, `noise`, `finding`, `drift`) -> events."""
    reference_told: dict[str, list[Facts]] = field(default_factory=dict)
    """The same, of the reference when it was prepared."""
    contract_sha256: str | None = None
    waived_by: dict[str, str] = field(default_factory=dict)
    """Output -> waiver that covers its failure, or would have."""
    block_calls: int | None = None
    """Calls in a block, settled in the first launch."""
    launched: list[Launched] = field(default_factory=list)
    """What every launch told until it was ready."""
    blocks: list[list[list[float]]] = field(default_factory=list)
    """Milliseconds: [launches, blocks, calls]; of a generation [launches, generations, prompt and tokens]."""
    phases: dict[str, list[list[list[float]]]] = field(default_factory=dict)
    """`enqueue`, `h2d`, `compute`, `d2h` -> milliseconds in the same order, where a device's events tell them apart."""
    gpu: list[Sample] = field(default_factory=list)
    """What the GPU did while its blocks were timed."""
    gpu_own: set[int] = field(default_factory=set)
    """Processes of the measurement itself."""
    ratio: statistics.Ratio | None = None
    compared_with: str | None = None
    """`variant/backend` (and mode of a generation) that the ratio is over."""
    memory: list[MemoryHeld] = field(default_factory=list)
    """What every launch, or the profiled process, told of its memory."""
    items: int | None = None
    """Items in one call, where the workload says so."""
    group_id: str | None = None
    """Shared by the cases that were timed in the same turns."""
    layers: list[Facts] = field(default_factory=list)
    inspected: str | None = None
    """Of an engine, what its inspector wrote."""
    figures: list[Measured] = field(default_factory=list)
    """Metrics that the worker told as they are: value, interval, n, provenance."""
    judgements: list[tuple[str, str, Judgement]] = field(default_factory=list)
    """(subject, name, judgement)."""

    @property
    def batch(self) -> int | None:
        """Items in one call: the workload's `items`, else the first axis of its first input; None of a scalar."""
        shapes = [shape for shape in self.prepared.get("shapes", {}).values() if shape]
        return self.items or (shapes[0][0] if shapes else None)

    @property
    def state_outputs(self) -> list[tuple[str, str]]:
        """(input, output) of every state that the case's contract names."""
        return [(state["input"], state["output"]) for state in self.prepared.get("states", [])]

    def fail(self, failure: WorkerFailed) -> None:
        self.status, self.error_type, self.error_message = failure.status, failure.kind, failure.message

    def begin_launch(self) -> None:
        """Blocks from here on are of another process."""
        for blocks in (self.blocks, *self.phases.values()):
            blocks.append([])

    def say_what_opened(self) -> None:
        """Take the size of what ran from its process, where a recipe changed the module after it was loaded."""
        if self.artifact is None or self.case.recipe.recipe not in MODULE_RECIPES or not self.opened.get("parameters"):
            return
        size, weights = int(self.opened["parameter_bytes"]), int(self.opened["parameters"])
        text = f"{self.artifact.sha256}/{self.case.recipe.recipe}/{sorted(self.case.recipe.options.items())}"
        digest = hashlib.sha256(text.encode()).hexdigest()
        self.artifact = replace(
            self.artifact,
            artifact_id=digest[:32],
            sha256=digest,
            bytes=size,
            parameters=weights,
            bits_per_weight=8 * size / weights,
            nodes=self.opened.get("modules"),
            nodes_changed=self.opened.get("modules_changed"),
        )


class Progress(Protocol):
    """Who is told how far a run is: `assay.runner.reports.console` has one for terminals and one for logs."""

    def starting(self, what: str) -> None: ...

    def finished(self, outcome: Outcome) -> None: ...


@dataclass(frozen=True, slots=True)
class Context:
    """What all cases of a run share."""

    run_id: str
    environment: rows.Environment
    suite_argument: str
    reproduce: str | None = None
    """The command that made the run, where that is not `assay run`."""


MAIN_MODES = ("functional", "closed_loop", "mixed")


def is_main(receipt: Facts) -> bool:
    """Whether a receipt is the case's own comparison, and not a probe's."""
    mode: str = receipt.get("mode", MAIN_MODES[0])
    return mode.startswith(MAIN_MODES)
