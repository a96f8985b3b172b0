"""What a result is: one frozen dataclass per table, its meaning under each field.

The dataclasses, the newest migration and the Parquet files of a bundle have the same columns; a test holds them together.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar


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
    """`onnx`, `torchscript`, `exported-program` or `python` (a factory: bytes are those of its parameters)."""
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
    """`parity` or `benchmark`."""
    mode: str
    """`functional` for parity; the measurement mode (`interleaved`, `alone`) for a benchmark."""
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
    """Index of the first largest error (for all steps merged, the step comes first); a non-finite mismatch comes before any finite error."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a policy says of a receipt or a measurement. A new policy adds verdicts, it changes none."""

    table: ClassVar[str] = "verdict"
    verdict_id: str
    case_id: str
    run_id: str
    subject: str
    """`parity` or `measurement`."""
    name: str
    """The output or the metric."""
    policy_id: str
    outcome: str
    """`pass`, `fail`, `vacuous` or `unknown`."""
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


Row = Run | RunEnd | Environment | Artifact | CaseResult | Measurement | Parity | Verdict | Policy | Metric

FACTS: tuple[type[Row], ...] = (Run, RunEnd, CaseResult, Measurement, Parity, Verdict)
DICTIONARIES: dict[type[Row], str] = {
    Environment: "environment_id",
    Artifact: "artifact_id",
    Policy: "policy_id",
    Metric: "metric",
}
"""Tables known by their content, with the column that is their key: a second arrival of one row is dropped."""

ALL: tuple[type[Row], ...] = (*FACTS, *DICTIONARIES)
