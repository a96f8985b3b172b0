"""Events that become rows: the columns of that row but its keys, which only the parent knows."""

from __future__ import annotations

from dataclasses import dataclass

from assay.runner.worker.events.event import Event


@dataclass(frozen=True, slots=True)
class Stepped(Event):
    """A `StreamStep`."""

    step: int
    latency_ms: float
    resynced: bool


@dataclass(frozen=True, slots=True)
class InvariantWatched(Event):
    """An `Invariant` over all steps."""

    name: str
    kind: str
    expression: str
    side: str
    checked: int
    broken: int
    first_broken: int | None
    broken_steps: list[int]
    observed: str | None


@dataclass(frozen=True, slots=True)
class Reached(Event):
    """A `Liveness`: how far an input moves an output."""

    side: str
    input: str
    is_state: bool
    output: str
    steps: int
    moved: float
    relative: float | None
    workload: str | None = None
    variant: str | None = None


@dataclass(frozen=True, slots=True)
class Scattered(Event):
    """A `Noise`: how far outputs move without a fault."""

    source: str
    output: str
    n: int
    max_abs: float | None
    p999_abs: float | None
    rel_l2: float | None
    atol: float | None
    rtol: float | None
    problem: str | None
    workload: str | None = None
    variant: str | None = None


@dataclass(frozen=True, slots=True)
class Noticed(Event):
    """A `Finding`."""

    kind: str
    subject: str
    severity: str
    message: str
    workload: str | None = None
    variant: str | None = None


@dataclass(frozen=True, slots=True)
class CodesSeen(Event):
    """A `LedgerEntry`: a tensor in codes."""

    position: int
    name: str
    node: str
    op_type: str
    kind: str
    scheme: str
    elements: int
    batches: int
    sqnr_db: float | None
    snr_db: float | None
    psnr_db: float | None
    cosine: float | None
    mse: float | None
    mean_abs: float | None
    max_abs: float | None
    expected_min: float | None
    expected_max: float | None
    expected_mean: float | None
    expected_std: float | None
    actual_min: float | None
    actual_max: float | None
    actual_mean: float | None
    actual_std: float | None
    accumulated_sqnr_db: float | None
    accumulated_cosine: float | None
    executed_sqnr_db: float | None
    executed_cosine: float | None
    clipped: float | None
    saturated: float | None
    levels: int | None
    used_levels: int | None
    stored_bytes: int | None
    bits_per_weight: float | None
    scale_min: float | None
    scale_max: float | None
    histogram: list[int] | None


@dataclass(frozen=True, slots=True)
class RangeLearnt(Event):
    """A `CalibrationRange`."""

    name: str
    batches: int
    low: float
    high: float
    settled_at: int
    widest_batch: int
    influence: float


@dataclass(frozen=True, slots=True)
class ClassMeasured(Event):
    """A `ClassQuality`."""

    metric: str
    class_name: str
    value: float | None
    reference_value: float | None
    n: int


@dataclass(frozen=True, slots=True)
class NodeMeasured(Event):
    """A `Sensitivity`: a node quantized alone, and left out alone."""

    position: int
    node: str
    op_type: str
    alone_sqnr_db: float | None
    without_sqnr_db: float | None


@dataclass(frozen=True, slots=True)
class NodeWalked(Event):
    """A `Divergence`: a node that has a counterpart."""

    position: int
    node: str
    op_type: str
    layer: str | None
    reference_node: str | None
    output: str
    shape: list[int]
    elements: int
    accumulated_max_abs: float | None
    accumulated_rel_l2: float | None
    local_max_abs: float | None
    local_rel_l2: float | None
    local_typical_rel: float | None
    expected_rel_l2: float | None
    suspect: bool
    hint: str | None


@dataclass(frozen=True, slots=True)
class EdgeBlamed(Event):
    """A `Blame`: an edge of the chain from the original to what ships."""

    position: int
    edge_from: str
    edge_to: str
    output: str
    max_abs: float | None
    rel_l2: float | None
    share: float | None
    problem: str | None
