"""One execution of a suite: the run, its host, its artifacts and its cases."""

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
    nodes: int | None = None
    """Nodes of the graph, bodies of control flow included."""
    nodes_changed: int | None = None
    """Nodes that the recipe changed, against what it started from; None of a recipe that changes none by its nature."""


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
    model_sha256: str | None = None
    """Identity of the model: every source file, weight, buffer, attribute and configuration that its answers depend
    on."""
    in_force: str | None = None
    """Threads, affinity, governor and the variables that change speed, as they were in force in the worker (JSON)."""


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
