"""Events that are no row: how far a job is, what really ran, what was made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from assay.runner.worker.events.event import Event


@dataclass(frozen=True, slots=True)
class Done(Event):
    """The job is done."""


@dataclass(frozen=True, slots=True)
class JobFailed(Event):
    """The job ended with an error; its case does."""

    type: str
    message: str
    status: str
    """`failed` or `crashed`."""


@dataclass(frozen=True, slots=True)
class Noted(Event):
    """A remark for whoever reads the events."""

    message: str


@dataclass(frozen=True, slots=True)
class LibraryImported(Event):
    """The library is loaded, the model is not."""

    rss_bytes: int


@dataclass(frozen=True, slots=True)
class Opened(Event):
    """A session is open: what really runs, as `assay.runner.session.Placement` says it, and in what process."""

    load_ms: float
    device: str
    placement: str
    precision: str
    threads: int | None
    fell_back: str | None
    streams: int
    versions: dict[str, str]
    parameters: int | None
    parameter_bytes: int | None
    in_force: dict[str, Any]
    """As `assay.runner.worker.in_force` reads it."""
    modules: int | None = None
    modules_changed: int | None = None


@dataclass(frozen=True, slots=True)
class ArithmeticSeen(Event):
    """In which element types a case computes: `products` and `others`, nodes (or calls) by type."""

    stored: dict[str, dict[str, int]] | None
    """As the file says; None of what is no file."""
    executed: dict[str, dict[str, int]] | None
    """As it ran; None where the backend does not say."""
    rounded_steps: int
    """Steps that were evaluated with every result rounded as stored, whose receipts have the mode `rounded`."""
    not_rounded: str | None
    """Why there are none, where there should be."""


@dataclass(frozen=True, slots=True)
class Ready(Event):
    """Warm: blocks can be timed. As `assay.runner.timing.protocol.Warmup`."""

    first_ms: float
    calls: int
    seconds: float
    steady: bool
    typical_ms: float
    block_calls: int


@dataclass(frozen=True, slots=True)
class BlockTimed(Event):
    """One block: milliseconds of each call, and of each call's phases where they are told apart."""

    ms: list[float]
    phases: dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class MemoryHeld(Event):
    """What the process held when it was done."""

    peak_rss_bytes: int
    loaded_rss_bytes: int
    held: dict[str, int]
    """Metric -> bytes, as far as the session knows."""


@dataclass(frozen=True, slots=True)
class LayersTimed(Event):
    """Every operator of a profile; `inspected` is what an engine's inspector wrote."""

    layers: list[dict[str, Any]]
    inspected: str | None


@dataclass(frozen=True, slots=True)
class LargestErrors(Event):
    """The largest error of each step, of an output that moves without a fault."""

    source: str
    output: str
    values: list[float]
    expected_max: float = 0.0
    workload: str | None = None
    variant: str | None = None


@dataclass(frozen=True, slots=True)
class ReceiptGiven(Event):
    """The receipt of a comparison: columns of `Parity`."""

    receipt: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ReferenceRepeated(Event):
    """The receipt of the reference against itself."""

    receipt: dict[str, Any]
    workload: str | None = None
    variant: str | None = None


@dataclass(frozen=True, slots=True)
class Measured(Event):
    """A metric as the worker counted it, with its interval where it has one."""

    metric: str
    value: float
    low: float | None
    high: float | None
    n: int
    provenance: str


@dataclass(frozen=True, slots=True)
class ModelRead(Event):
    """The reference: its version and size; `sha256` is its identity, `state_sha256` what releases to 0.5.0 hashed."""

    version: str
    sha256: str
    state_sha256: str
    parameters: int | None
    parameter_bytes: int | None
    weights: str | None
    contract_sha256: str | None


@dataclass(frozen=True, slots=True)
class WorkloadRecorded(Event):
    """The reference's outputs for a workload are kept."""

    workload: str
    golden: str
    """Under which name."""
    inputs_sha256: str
    reference_sha256: str
    steps: int
    constant: list[str]
    shapes: dict[str, list[int]]
    inputs: list[str]
    states: list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class LengthsRecorded(Event):
    """The reference's outputs at other lengths are kept as a golden."""

    variant: str
    workload: str
    golden: str


@dataclass(frozen=True, slots=True)
class ArtifactMade(Event):
    """A variant's file, as `assay.runner.recipes.build.Built`; `base` is the file that it was made from."""

    variant: str
    base: str | None
    calibration: str | None
    path: str
    sha256: str
    bytes: int
    parameters: int | None
    bits_per_weight: float | None
    opset: int | None
    recipe_sha256: str
    build_s: float | None
    calibration_sha256: str | None
    settings: dict[str, Any] | None
    file_sha256: str | None
    nodes: int | None = None
    nodes_changed: int | None = None


@dataclass(frozen=True, slots=True)
class EngineMade(Event):
    """An engine built from a variant's file, likewise."""

    variant: str
    options: dict[str, Any]
    path: str
    sha256: str
    bytes: int
    parameters: int | None
    bits_per_weight: float | None
    opset: int | None
    recipe_sha256: str
    build_s: float | None
    calibration_sha256: str | None
    settings: dict[str, Any] | None
    file_sha256: str | None


@dataclass(frozen=True, slots=True)
class NotMade(Event):
    """A workload that was not recorded, or a variant that was not made: the others go on."""

    type: str
    message: str
    workload: str | None = None
    variant: str | None = None


@dataclass(frozen=True, slots=True)
class LibraryFound(Event):
    """A backend's library is installed."""

    detail: str


@dataclass(frozen=True, slots=True)
class PortsRead(Event):
    """Inputs and outputs of a file: name -> dtype and shape."""

    inputs: dict[str, dict[str, Any]]
    outputs: dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Rehearsed(Event):
    """The first batch of a workload, through the model: name -> dtype and shape."""

    workload: str
    given: list[str]
    """Inputs that the workload has; the others are states, as the contract begins them."""
    inputs: dict[str, dict[str, Any]]
    outputs: dict[str, dict[str, Any]]
    labels: dict[str, dict[str, Any]]
    violations: list[str]
    """Where the arrays are not what the contract says."""


@dataclass(frozen=True, slots=True)
class Walked(Event):
    """Two graphs were walked side by side."""

    by: str
    nodes: int
    aligned: int
    segments: int
    peak_live_bytes: int
    budget: int


@dataclass(frozen=True, slots=True)
class NotWalkable(Event):
    """There is no graph to walk."""

    reason: str


@dataclass(frozen=True, slots=True)
class ReproductionWritten(Event):
    """A folder that shows the error without the model."""

    folder: str
    between: list[str]
