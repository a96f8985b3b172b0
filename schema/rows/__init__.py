"""What a result is: one frozen dataclass per table, its meaning under each field.

The dataclasses, the newest migration and the Parquet files of a bundle have the same columns; a test holds them
together.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from assay.schema.rows.alerts import (
    AlertEvent,
    Calibration,
    Change,
    Confirmation,
    Expectation,
    Notification,
    Release,
    ShadowChange,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution of a suite on one host, written when it starts."""

    table: ClassVar[str] = "run"
    run_id: str
    """UUIDv7: sorts by start time."""
    suite: str
    suite_sha256: str
    """Of the suite's meaning (parsed, sorted JSON: a comment does not make a new suite) and the versions picked."""
    trigger: str
    """`manual`, `nightly` or `ci`."""
    started_at: datetime
    """UTC."""
    host: str
    environment_id: str
    git_commit: str | None
    git_branch: str | None
    git_dirty: bool | None
    seed: int
    tool_version: str
    command: str
    cases_planned: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """The run came to its end, with every case recorded."""

    table: ClassVar[str] = "run_end"
    run_id: str
    ended_at: datetime
    exit_code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Everything about a host that can move a number; its id is the hash of the other columns."""

    table: ClassVar[str] = "environment"
    environment_id: str
    hardware_class: str
    """What makes two hosts comparable: GPU name and count if there is one, else CPU model and cores."""
    os: str
    kernel: str
    cpu_model: str
    cpu_features: str
    """Instruction sets that change integer and reduced-precision kernels (avx2, avx512f, avx512_vnni, amx...)."""
    cpu_cores: int
    """Logical cores this process may use."""
    memory_bytes: int
    gpu: str | None
    gpu_count: int
    gpu_memory_bytes: int | None
    gpu_driver: str | None
    gpu_clocks: str | None
    """Application clocks policy, `default` unless someone locked them."""
    gpu_ecc: bool | None
    gpu_mig: bool | None
    cuda: str | None
    cudnn: str | None
    python: str
    numpy: str
    torch: str | None
    onnx: str | None
    onnxruntime: str | None
    tensorrt: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A file that can be executed, made by a recipe or given."""

    table: ClassVar[str] = "artifact"
    artifact_id: str
    """Hash of content, model, version and variant."""
    sha256: str
    """Of the file, and of its external data."""
    model: str
    model_version: str
    variant: str
    format: str
    """`onnx`, `engine` (TensorRT), `torchscript`, `exported-program` or `python` (a factory: bytes are those of its
    parameters)."""
    bytes: int
    """On disk, external data included."""
    parameters: int | None
    """Elements of the stored weights."""
    bits_per_weight: float | None
    """8 * bytes of stored weights / parameters."""
    opset: int | None
    recipe: str
    recipe_sha256: str
    """Hash of everything the recipe read: the cache key."""
    build_s: float | None
    """None when the artifact was given, or came from the cache."""
    weights: str | None = None
    """Where the weights are from, as the model says it (its `weights_origin`); None where it says nothing."""
    calibration: str | None = None
    """The workload that its ranges were learnt from; None where none were."""
    calibration_sha256: str | None = None
    """Of every array of it."""
    made_from: str | None = None
    """SHA-256 of the ONNX file that an engine was built from; None of everything else."""
    settings: str | None = None
    """What an engine was built with, as JSON: the builder's options, profiles, TensorRT, GPU, driver, hashes of the
    timing cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """One case of one run: what was asked, what really ran, and how it ended."""

    table: ClassVar[str] = "case_result"
    case_id: str
    """UUIDv7."""
    run_id: str
    case_key: str
    """Hash of what is asked (suite, model, variant, backend, workload, check), the same in every run."""
    name: str
    """`model/variant/backend/workload/check`."""
    model: str
    model_version: str
    variant: str
    backend: str
    """The suite's name for it, e.g. `onnxruntime`."""
    device: str
    provider: str | None
    """Execution provider that was asked for."""
    workload: str
    check_kind: str
    """`parity`, `benchmark` or `consistency`."""
    mode: str
    """`functional`, `closed_loop` or `mixed-K` for parity; the measurement mode (`interleaved`, `alone`) for a
    benchmark."""
    reference: str | None
    """What counted as right: a backend, or `golden:NAME`."""
    status: str
    """`ok`, `failed`, `vacuous`, `skipped`, `crashed` or `timeout`."""
    error_type: str | None
    error_message: str | None
    started_at: datetime
    duration_s: float
    placement: str | None
    """Providers in force with the nodes each one got, e.g. `CPUExecutionProvider:41`."""
    precision: str | None
    """Element types of weights and activations that really ran."""
    workload_sha256: str | None
    """Hash of every input array."""
    artifact_id: str | None
    environment_id: str
    comparability: str
    """Model, workload, mode, hardware class, device and threads: ratios are made only inside one value."""
    threads: int | None
    reproduce: str
    """The command that runs this case alone."""
    group_id: str | None = None
    """Cases of a run with the same one were timed in turns, so that their ratio may be paired; None for those timed
    alone."""
    batch: int | None = None
    """Items in one call: the workload's `items`, else the first axis of the first input."""
    input_shapes: str | None = None
    """What one call takes, e.g. `input_ids[1,64]`."""
    precision_asked: str | None = None
    """What products were meant to be in (`float16`, `int8`, ...); None where the variant does not say."""


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
    atol: float
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
class Divergence:
    """One node of a graph in an explanation: its own error, and what had piled up before it."""

    table: ClassVar[str] = "divergence"
    case_id: str
    run_id: str
    explanation_id: str
    position: int
    """In the order of execution."""
    node: str
    op_type: str
    layer: str | None
    """The module it came from, where the graph says."""
    reference_node: str | None
    output: str
    shape: list[int]
    elements: int
    accumulated_max_abs: float | None
    """Against the reference, fed what came before; None where shapes differ or nothing is finite."""
    accumulated_rel_l2: float | None
    local_max_abs: float | None
    """The same, fed the reference's own inputs."""
    local_rel_l2: float | None
    local_typical_rel: float | None
    """Median relative error of the elements that differ."""
    expected_rel_l2: float | None
    """What rounding alone may do to this operator."""
    suspect: bool
    hint: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Blame:
    """One edge of the chain from exact arithmetic to what is shipped, and the error that it adds."""

    table: ClassVar[str] = "blame"
    case_id: str
    run_id: str
    explanation_id: str
    position: int
    edge_from: str
    edge_to: str
    output: str
    max_abs: float | None
    rel_l2: float | None
    share: float | None
    """Of the sum of squared errors of all edges."""
    problem: str | None
    """Why this link could not be made."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One tensor that quantization touches. Errors are actual minus expected; expected is the float original.

    Of a weight or bias, actual is what the quantized graph computes with. Of an activation, the figures without a
    prefix are of this tensor alone: the original's
    values through this tensor's codes and back.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonOverride:
    """Someone asked for ratios of two runs that are unlike: what differed, who asked, and why."""

    table: ClassVar[str] = "comparison_override"
    override_id: str
    recorded_at: datetime
    owner: str
    run_a: str
    run_b: str
    differs: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Rules by their hash."""

    table: ClassVar[str] = "policy"
    policy_id: str
    name: str
    definition: str
    """Canonical JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    table: ClassVar[str] = "metric"
    metric: str
    unit: str
    better: str
    """`lower`, `higher` or `neither`."""
    description: str


Row = (
    Run
    | RunEnd
    | Environment
    | Artifact
    | CaseResult
    | Measurement
    | Parity
    | Verdict
    | Policy
    | Metric
    | StreamStep
    | Invariant
    | Drift
    | Liveness
    | Finding
    | Divergence
    | Blame
    | Noise
    | WaiverEvent
    | Layer
    | ComparisonOverride
    | LedgerEntry
    | CalibrationRange
    | ClassQuality
    | Sensitivity
    | Search
    | SearchNode
    | SearchTrial
    | Change
    | AlertEvent
    | Confirmation
    | Notification
    | Expectation
    | Release
    | Calibration
    | ShadowChange
)

FACTS: tuple[type[Row], ...] = (
    Run, RunEnd, CaseResult, Measurement, Parity, Verdict, StreamStep, Invariant, Drift, Liveness, Finding, Divergence,
    Blame, Noise, WaiverEvent, Layer, ComparisonOverride, LedgerEntry, CalibrationRange, ClassQuality, Sensitivity, Search, SearchNode,
    SearchTrial, Change, AlertEvent, Confirmation, Notification, Expectation, Release, Calibration, ShadowChange,
)  # fmt: skip
DICTIONARIES: dict[type[Row], str] = {
    Environment: "environment_id",
    Artifact: "artifact_id",
    Policy: "policy_id",
    Metric: "metric",
}
"""Tables known by their content, with the column that is their key: a second arrival of one row is dropped."""

ALL: tuple[type[Row], ...] = (*FACTS, *DICTIONARIES)
