"""What a worker is asked to do: a class for each shape of a job, built by the parent and read by the worker.

A job travels as one JSON line. What the parent leaves out has its default on both sides; a field that there is not is
an error where it is written (mypy), and where it arrives. It imports nothing but the standard library and our own
JSON: a benchmark's process loads no more than it measures.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any

from assay.schema.documents import pack, unpack

Facts = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Any job."""

    op: str
    """The operation: a module of `assay.runner.worker.jobs`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledJob(Job):
    """Whether a backend's library is there."""

    op: str = "installed"
    backend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PortsJob(Job):
    """What an ONNX file takes and gives."""

    op: str = "ports"
    onnx: str
    """Path of the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelJob(Job):
    """What every job about a suite's model is told."""

    backend: str
    """Kind of the backend."""
    options: Facts
    """Of the backend, as its `open_session` takes them."""
    folder: str = "."
    """The suite's: relative files and factories are looked for here."""
    goldens: str = ""
    """Folder of recorded references and goldens."""
    contract: str | None = None
    """A file beside the suite, or a factory; None where the model has no contract."""
    contract_options: Facts = field(default_factory=dict)
    rename_inputs: dict[str, str] = field(default_factory=dict)
    """Reference's input name -> the candidate's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionJob(ModelJob):
    """A job that opens a session."""

    source: Facts
    """Fields of `assay.runner.session.Source`."""
    golden: str = ""
    """The recorded inputs and outputs that a case is held against."""
    rename: dict[str, str] = field(default_factory=dict)
    """Candidate's output name -> the reference's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseJob(SessionJob):
    """One case, whatever its check; `op` is the check's name."""

    mode: str = "functional"
    policy: Facts = field(default_factory=dict)
    timing: Facts = field(default_factory=dict)
    generate: Facts = field(default_factory=dict)
    seed: int = 0
    max_steps: int | None = None
    pad_side: str | None = None
    lengths: str | None = None
    """The golden of the reference at other lengths."""
    onnx: str = ""
    """The variant's ONNX file, where there is one."""
    engine_options: Facts = field(default_factory=dict)
    """What an engine was built with."""
    premises: list[str] = field(default_factory=list)
    """Of waivers that cover the case."""
    dump: str | None = None
    """Where failing steps are kept."""
    block_calls: int | None = None
    """Calls in one block of a benchmark, as an earlier launch found; None: this one finds them."""
    workload: Facts | None = None
    """Of a quality case: the labelled workload itself."""
    base: str = ""
    """The float file that the variant was made of."""
    recipe: str = ""
    recipe_options: Facts = field(default_factory=dict)
    calibration: Facts | None = None
    """`name` and `workload` of what a static quantizer learns from."""
    timeout_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareJob(SessionJob):
    """The reference of a group of cases: loaded, recorded, asked about itself, and what is built of it."""

    op: str = "prepare"
    seed: int
    model: str
    version: str
    reference: str
    onnx: str | None
    onnx_options: Facts
    export: Facts
    variants: list[Facts]
    workloads: dict[str, Facts]
    golden_names: dict[str, str]
    artifacts: str
    given_goldens: dict[str, str]
    policies: dict[str, Facts]
    advise: bool
    """Whether a case proposes a tolerance: the reference then runs more steps in float64."""
    max_steps: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RehearsalJob(SessionJob):
    """A model opened, and the first batches of its workloads run, to see what it takes and gives."""

    op: str = "rehearsal"
    seed: int
    onnx: str | None
    """A given ONNX file or factory, whose ports are read."""
    onnx_options: Facts
    workloads: dict[str, Facts]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineJob(ModelJob):
    """The engines of a backend, of variants' ONNX files."""

    op: str = "engine"
    artifacts: str
    recorded: list[str]
    """Goldens whose inputs say how large dynamic axes are."""
    variants: list[Facts]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainJob(SessionJob):
    """Which operator of a candidate diverges first; backend, source and options are the candidate's."""

    op: str = "explain"
    candidate: str
    """Its name in the suite."""
    step: int
    max_memory: int | None
    out: str
    reference: Facts | None
    """Backend, source and options of the original, where it has a graph."""
    float_onnx: str
    """The float file that the candidate was made of, where there is one."""
    onnx: str
    engine_options: Facts


_JOBS: dict[str, type[Job]] = {
    kind.__name__: kind
    for kind in (Job, InstalledJob, PortsJob, CaseJob, PrepareJob, RehearsalJob, EngineJob, ExplainJob)
}


def encode(job: Job) -> str:
    """A job as one line; paths become text."""
    told = {part.name: getattr(job, part.name) for part in fields(job)}
    return pack({"job": type(job).__name__, **told})


def decode(line: str) -> Job:
    """A job from its line.

    Raises:
        ValueError: it is no job, or has a field that its class does not have, or lacks one.
    """
    told = unpack(line)
    name = told.pop("job", None) if isinstance(told, dict) else None
    if not isinstance(name, str) or name not in _JOBS:
        raise ValueError(f"there is no job {name!r}; there are {', '.join(_JOBS)}.")
    kind = _JOBS[name]
    known = [part.name for part in fields(kind)]
    for key in told:
        if key not in known:
            near = get_close_matches(key, known, 1)
            raise ValueError(f"{name} has no field {key!r}." + (f" Did you mean {near[0]!r}?" if near else ""))
    try:
        return kind(**told)
    except TypeError as error:
        raise ValueError(f"{name}: {error}") from None
