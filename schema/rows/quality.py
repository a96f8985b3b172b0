"""What quantization costs: ledgers, calibration, classes, sensitivity and searches."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One tensor that quantization touches. Errors are actual minus expected; expected is the float original.

    Of a weight or bias, actual is what the quantized graph computes with. Of an activation, the figures without a
    prefix are of this tensor alone: the original's values through this tensor's codes and back.
    """

    table: ClassVar[str] = "ledger"
    case_id: str
    run_id: str
    position: int
    """Weights first, then activations, each in the order that the graph reads them."""
    name: str
    """The original's name of the tensor."""
    node: str
    """The original's first node that reads it (of an output: that makes it)."""
    op_type: str
    kind: str
    """`weight`, `bias` or `activation`."""
    scheme: str
    """Type of the codes, and how many scales."""
    elements: int
    batches: int
    """Batches that an activation was seen in; 0 for weights."""
    sqnr_db: float | None
    """10 log10(sum x^2 / sum (x - y)^2); infinite when equal."""
    snr_db: float | None
    """The same of variances: constant offsets of both sides are taken out."""
    psnr_db: float | None
    """10 log10((max x - min x)^2 / mse)."""
    cosine: float | None
    mse: float | None
    mean_abs: float | None
    max_abs: float | None
    expected_min: float | None
    expected_max: float | None
    expected_mean: float | None
    expected_std: float | None
    actual_min: float | None
    """Of an activation: what was executed, everything before it being quantized."""
    actual_max: float | None
    actual_mean: float | None
    actual_std: float | None
    accumulated_sqnr_db: float | None
    """Of an activation, with everything before it quantized, products in float (simulated); None where the graph has no
    such form."""
    accumulated_cosine: float | None
    executed_sqnr_db: float | None
    """The same by the kernels that are shipped."""
    executed_cosine: float | None
    clipped: float | None
    """Share of the original's values that lie beyond what the codes can stand for."""
    saturated: float | None
    """Share of executed codes that are the lowest or the highest."""
    levels: int | None
    """Values that a code can have."""
    used_levels: int | None
    """Of these, how many came; the others are dead."""
    stored_bytes: int | None
    """Of a weight: codes, scales and zero points."""
    bits_per_weight: float | None
    scale_min: float | None
    scale_max: float | None
    histogram: list[int] | None
    """Executed codes in 64 bins from the lowest to the highest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationRange:
    """How the range of one activation came about, batch by batch."""

    table: ClassVar[str] = "calibration_range"
    case_id: str
    run_id: str
    name: str
    batches: int
    low: float
    high: float
    settled_at: int
    """Batches after which the range was within 1 % of its final width."""
    widest_batch: int
    """The batch without which the range would be narrowest."""
    influence: float
    """By what share of its width."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassQuality:
    """A task metric of one class of the labels."""

    table: ClassVar[str] = "class_quality"
    case_id: str
    run_id: str
    metric: str
    class_name: str
    value: float | None
    """None where the labels or the answers have nothing of the class."""
    reference_value: float | None
    n: int
    """Labels of the class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """What quantizing one node does to the outputs, as executed."""

    table: ClassVar[str] = "sensitivity"
    case_id: str
    run_id: str
    position: int
    """In the order of execution."""
    node: str
    op_type: str
    alone_sqnr_db: float | None
    """Of the outputs with this node alone quantized (one layer on)."""
    without_sqnr_db: float | None
    """With every node but this one quantized (one layer off)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """One search for the nodes that are better left in float."""

    table: ClassVar[str] = "search"
    search_id: str
    run_id: str
    """The last of the runs that its trials are cases of."""
    recorded_at: datetime
    suite: str
    model: str
    model_version: str
    variant: str
    """The quantized variant that nodes are excluded from."""
    workload: str
    metric: str
    """The task's main metric."""
    budget_s: float
    spent_s: float
    trials: int
    excluded: list[str]
    """The choice: `nodes_to_exclude`."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchNode:
    """What quantizing one node costs in quality and saves in time."""

    table: ClassVar[str] = "search_node"
    search_id: str
    run_id: str
    position: int
    """0 is the most sensitive."""
    node: str
    op_type: str
    alone_sqnr_db: float | None
    """Of the outputs with this node alone quantized (one layer on)."""
    without_sqnr_db: float | None
    """With every node but this one quantized (one layer off)."""
    ledger_sqnr_db: float | None
    """The worst of its own tensors on the ledger."""
    float_us: float | None
    quantized_us: float | None
    """Median times in profiled runs of both; None where no layer of that name ran."""
    excluded: bool
    reason: str
    """In dB and microseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchTrial:
    """One set of excluded nodes, tried on the real metric and the real latency."""

    table: ClassVar[str] = "search_trial"
    search_id: str
    run_id: str
    """The run that its cases are in."""
    position: int
    variant: str
    origin: str
    """`quantize nothing`, `quantize all`, `products only`, `worst by SQNR`, or `noise per time`."""
    excluded: list[str]
    predicted_sqnr_db: float | None
    """If the noise of nodes adds up."""
    predicted_us: float | None
    value: float | None
    """The main metric; None where the trial failed."""
    drop_relative: float | None
    drop_low: float | None
    drop_high: float | None
    sqnr_db: float | None
    """Of the first output against the reference, as executed."""
    latency_ms: float | None
    latency_ratio: float | None
    """Over the float variant's, measured in turns."""
    ratio_low: float | None
    ratio_high: float | None
    bytes: int | None
    front: bool
    """Whether no other trial is both better and faster."""
    chosen: bool
