"""What was timed: figures, and layers of a profile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One metric of one case; unit and direction come from the metric dictionary."""

    table: ClassVar[str] = "measurement"
    case_id: str
    run_id: str
    series_id: str
    """Hash of case key, metric and hardware class: the history this value belongs to."""
    metric: str
    value: float
    low: float | None
    """Lower end of the 95 % interval; None when no interval was estimated."""
    high: float | None
    n: int
    """Observations behind the value."""
    samples: list[float] | None
    """Raw observations in the order taken, warm-up excluded."""
    block_length: int | None
    """Consecutive samples taken without a pause for another case."""
    provenance: str
    """`measured`, `derived` or `imported`."""
    launches: int | None = None
    """Processes that the samples come from, in equal parts and in order; None where there are no samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One operator of a profiled case, or one layer of an imported profile, and the time that it took."""

    table: ClassVar[str] = "layer"
    case_id: str
    run_id: str
    position: int
    """In the order that it first ran in."""
    name: str
    op_type: str
    provider: str
    """What executed it: an execution provider, or `torch`."""
    precision: str | None
    """Element types that went in, e.g. `float x int8`; None where the profile does not say."""
    calls: int
    """Times that it ran while profiled."""
    total_ms: float
    median_us: float
    share: float
    """Of the time of all layers together; 1 is all of it."""
    output_shape: str | None
    output_bytes: int | None
    parameter_bytes: int | None
    reference_name: str | None
    """The layer of the reference variant that it stands for."""
    reference_us: float | None
    """That layer's median, from the same run."""
    provenance: str
    """`measured` or `imported`."""
