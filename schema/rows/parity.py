"""What was compared: receipts, verdicts, steps, findings, explanations, noise and waivers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """The receipt: stored facts of one comparison of one output. Errors are actual minus expected."""

    table: ClassVar[str] = "parity"
    case_id: str
    run_id: str
    output: str
    step: int
    """Batch or step; -1 is all of them merged."""
    mode: str
    """`functional` (states from the reference), `closed_loop` (fed back), `mixed-K` (re-synchronised every K steps), or
    a
    check that needs no tolerance of its own: `repeat`, `lengths`, `batch`, `permuted`, `threads`.
    """
    elements: int
    """Pairs compared: everything that was not skipped."""
    skipped: int
    """Pairs a mask left out."""
    nan_expected: int
    nan_actual: int
    inf_expected: int
    inf_actual: int
    nonfinite_mismatches: int
    """Pairs where one side is NaN or infinite and the other is not the same; each is a violation."""
    expected_min: float | None
    """Over finite elements, like every statistic below; None when there is none."""
    expected_max: float | None
    expected_std: float | None
    """Population standard deviation."""
    max_abs: float | None
    mean_abs: float | None
    p50_abs: float | None
    """Quantiles are exact up to 65,536 elements, then read from a histogram with a relative error under 0.8 %."""
    p95_abs: float | None
    p99_abs: float | None
    p999_abs: float | None
    max_rel: float | None
    """Largest |error| / |expected|; infinite when an expected zero came out as something else."""
    rel_l2: float | None
    """Root of sum error^2 / sum expected^2."""
    mse: float | None
    mean_signed: float | None
    """Bias: mean of actual - expected."""
    sqnr_db: float | None
    """10 log10(sum expected^2 / sum error^2); infinite when equal."""
    psnr_db: float | None
    """10 log10(psnr_peak^2 / mse); infinite when equal, None when the expected side is constant."""
    psnr_peak: float | None
    """expected_max - expected_min, so that a shift of both sides changes nothing."""
    cosine: float | None
    """Of both sides as vectors; None when one of them is all zeros, or too large to be squared."""
    violations: int
    """Elements outside the rule that was in force at the time (rule, atol, rtol)."""
    worst_index: list[int] | None
    """Index of the first largest error (for all steps merged, the step comes first); a non-finite mismatch comes before
    any finite error."""
    worst_expected: float | None
    worst_actual: float | None
    first_failing_index: list[int] | None
    histogram: list[int]
    """64 counts: [0] exact, [1] |error| < 2^-49, [i] 2^(i-51) <= |error| < 2^(i-50), [63] from 2^12 up."""
    rule: str
    """`mixed`, `either`, `exact`; `limits` where no element is asked for; or a rule of the field, what it goes by."""
    atol: float
    """As it was in force: 0 where every difference broke the rule, or none did."""
    rtol: float
    expected_dtype: str | None
    actual_dtype: str | None
    shape: list[int] | None
    """Of the expected side; the worst and first failing index count in it. None for all steps merged."""
    problem: str | None
    """Why nothing could be compared (shape, missing output), else None."""
    model_sha256: str | None
    inputs_sha256: str | None
    reference_sha256: str | None
    contract_sha256: str | None = None
    worst_pair: str | None = None
    """The pair at `worst_index` as text (JSON), where a double cannot hold it: integers, strings."""
    detail: str | None = None
    """What a rule of the field accounted for, e.g. that indices differ among equal scores only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a policy says of a receipt or a measurement. A new policy adds verdicts, it changes none."""

    table: ClassVar[str] = "verdict"
    verdict_id: str
    case_id: str
    run_id: str
    subject: str
    """`parity`, `measurement`, `invariant`, `state`, `input`, or the check that was broken (`repeat`, `lengths`,
    ...)."""
    name: str
    """The output, the metric, the invariant or the state."""
    policy_id: str
    outcome: str
    """`pass`, `fail`, `waived`, `vacuous` or `unknown`."""
    grade: str | None
    """The band of a graded policy."""
    rule: str
    """The rule that decided, in words."""
    observed: float | None
    limit_value: float | None
    margin: float | None
    """limit_value / observed for the deciding figure: above 1 is room to spare, below 1 is too much error."""
    reason: str
    judged_at: datetime
    waiver_id: str | None = None
    """The waiver that turned a failure into `waived`, or that would have, had its premise held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that explains a verdict, or that makes one worth less."""

    table: ClassVar[str] = "finding"
    case_id: str
    run_id: str
    kind: str
    """E.g. `dead_state`, `unused_input`, `constant_output`, `not_repeatable`, `traced_length`."""
    subject: str
    """The output, state, input or node that it is about."""
    severity: str
    """`fail`, `vacuous`, `warning` or `note`: the first two change the verdict."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """How much an output moves for a reason that is no fault: repetition, batching, rounding."""

    table: ClassVar[str] = "noise"
    case_id: str
    run_id: str
    source: str
    """`repeat`, `batch`, `permuted`, `threads`, `rebuilt`, `refitted` (an engine with its own weights put in again),
    `float64`, `tf32`, `bfloat16`, or `advice`: the proposal made of them."""
    output: str
    n: int
    """Elements compared."""
    max_abs: float | None
    p999_abs: float | None
    rel_l2: float | None
    atol: float | None
    """Of advice: what to allow."""
    rtol: float | None
    problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaiverEvent:
    """A waiver granted or revoked; the waivers in force are the fold of these."""

    table: ClassVar[str] = "waiver_event"
    event_id: str
    waiver_id: str
    action: str
    """`grant` or `revoke`."""
    case_pattern: str
    output: str
    premise: str
    """An invariant: while it holds at every step, the failure is known and harmless."""
    max_abs: float | None
    """The waiver covers errors up to here."""
    owner: str
    reason: str
    expires_at: datetime | None
    recorded_at: datetime
