"""What the steps of a stream gave: figures of a step, invariants, drift, and what reaches an output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStep:
    """One step of a stream on the candidate."""

    table: ClassVar[str] = "stream_step"
    case_id: str
    run_id: str
    step: int
    latency_ms: float
    """Wall time of the call alone: feeding back, comparing and checking are outside."""
    resynced: bool
    """Whether the states came from the reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invariant:
    """One invariant of a contract, or one premise of a waiver, over all steps of a case."""

    table: ClassVar[str] = "invariant"
    case_id: str
    run_id: str
    name: str
    kind: str
    """`contract` or `premise`."""
    expression: str
    side: str
    """`candidate` or `reference`."""
    checked: int
    """Steps at which it could be evaluated."""
    broken: int
    first_broken: int | None
    broken_steps: list[int]
    """The first 1000."""
    observed: str | None
    """What was seen where it broke first, or why it could not be evaluated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How an error or the latency moves from step to step."""

    table: ClassVar[str] = "drift"
    case_id: str
    run_id: str
    quantity: str
    """`max_abs` or `latency_ms`."""
    output: str
    """Empty for latency."""
    n: int
    """Steps."""
    slope: float
    """Theil-Sen: median of the slopes between all pairs of steps, per step."""
    low: float
    """Lower end of Sen's 95 % interval."""
    high: float
    p_value: float
    """Of Mann and Kendall's trend test, its variance corrected for autocorrelation."""
    trend: str
    """`increasing`, `decreasing` or `none` (p >= 0.05)."""
    peak_step: int
    peak: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Liveness:
    """How far an output moves when an input is perturbed."""

    table: ClassVar[str] = "liveness"
    case_id: str
    run_id: str
    side: str
    """`candidate` or `reference`."""
    input: str
    is_state: bool
    output: str
    steps: int
    """At how many steps it was tried."""
    moved: float
    """Largest |change| of the output."""
    relative: float | None
    """The same over the output's range; None when that is zero."""
