"""Recording what other tools measured: a run of imported cases, whose figures say that they were imported."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from assay.runner import environment
from assay.runner.books.imports.readers import FORMATS, Imported
from assay.runner.errors import BadDocument, ExitCode, NothingMeasured, UsageError, nearest
from assay.runner.timing import statistics
from assay.runner.timing.statistics import Estimate
from assay.schema import rows
from assay.schema.metrics import (
    LATENCY_MEAN_MS,
    LATENCY_P50_MS,
    LATENCY_P90_MS,
    LATENCY_P95_MS,
    LATENCY_P99_MS,
    METRICS,
)
from assay.schema.reading import MEASURED, read_text, reading
from assay.schema.store import ingest
from assay.schema.store.database import Store
from assay.schema.store.spool import new_id, now, write_bundle

_QUANTILES = {LATENCY_P50_MS: 0.5, LATENCY_P90_MS: 0.9, LATENCY_P95_MS: 0.95, LATENCY_P99_MS: 0.99}


@dataclass(frozen=True, slots=True)
class Target:
    """What the figures are of, which no file says."""

    model: str
    version: str
    variant: str
    backend: str | None
    workload: str
    device: str | None
    hardware: str
    """Hardware class; `here` stands for this host's."""


def record_import(
    store: Store, kind: str, files: Sequence[Path], target: Target, mapping: Sequence[str], wait_s: float
) -> dict[str, Any]:
    """Read all files, then record them as one run; nothing is recorded when one of them cannot be read.

    Files of one format that each describe one case are parts of the same case (trtexec writes three).

    Raises:
        UsageError: the format is unknown, a file is missing or not of it, or a figure is no number.
        NothingMeasured: the files hold no figure.
    """
    if kind not in FORMATS:
        raise UsageError(f"there is no format {kind!r}.{nearest(kind, FORMATS)} It is one of {', '.join(FORMATS)}.")
    found = _merged([case for path in files for case in _read(kind, path, mapping)])
    if not any(case.samples_ms or case.values or case.layers for case in found):
        raise NothingMeasured(
            f"{', '.join(path.name for path in files)}: no figure in {'it' if len(files) == 1 else 'them'}."
        )
    host = _environment(target.hardware)
    run_id = new_id()
    write_bundle(store, run_id, [_run(run_id, host, kind, files, len(found)), host])
    told = []
    for case in found:
        made = _rows(case, kind, run_id, target, host)
        write_bundle(store, run_id, made)
        told.append(_told(made))
    write_bundle(store, run_id, [rows.RunEnd(run_id=run_id, ended_at=now(), exit_code=int(ExitCode.OK))])
    ingest.sync(store, wait_s)
    return {"run": run_id, "format": kind, "cases": told}


def _read(kind: str, path: Path, mapping: Sequence[str]) -> list[Imported]:
    text = read_text(path, MEASURED)
    with reading(path.name, f"as {kind} writes it"):
        try:
            return FORMATS[kind].read(text, mapping)
        except UsageError as error:
            raise BadDocument(f"{path.name}: {error}") from None


def _merged(cases: Sequence[Imported]) -> list[Imported]:
    """Cases by name; a profile's times win over an engine's list of the same layers."""
    made: dict[str, Imported] = {}
    for case in cases:
        known = made.setdefault(case.name, Imported(case.name))
        known.samples_ms += case.samples_ms
        known.values.update(case.values)
        known.states = "; ".join(filter(None, dict.fromkeys([known.states, case.states])))
        facts = {layer["name"]: layer for layer in known.layers}
        for layer in case.layers:
            facts[layer["name"]] = _both(facts.get(layer["name"]), layer)
        known.layers = list(facts.values())
    return list(made.values())


def _both(one: dict[str, Any] | None, other: dict[str, Any]) -> dict[str, Any]:
    """One layer from two files: times from the profile, types and shapes from the engine."""
    if one is None:
        return other
    timed, described = (one, other) if one["calls"] else (other, one)
    return {**timed, **{name: described[name] for name in ("op_type", "precision", "output_shape") if described[name]}}


def _environment(hardware: str) -> rows.Environment:
    """The environment of this host, or one of which only the hardware class is known."""
    here = environment.capture()
    if hardware == "here":
        return here
    unknown = dict.fromkeys(
        (
            "gpu",
            "gpu_memory_bytes",
            "gpu_driver",
            "gpu_clocks",
            "gpu_ecc",
            "gpu_mig",
            "cuda",
            "cudnn",
            "torch",
            "onnx",
            "onnxruntime",
            "tensorrt",
        )
    )
    identity = hashlib.sha256(f"imported/{hardware}".encode()).hexdigest()[:32]
    return replace(
        here, environment_id=identity, hardware_class=hardware, os="unknown", kernel="unknown", cpu_model="unknown", cpu_features="",
        cpu_cores=0, memory_bytes=0, gpu_count=0, python="unknown", numpy="unknown", **unknown,
    )  # fmt: skip


def _run(run_id: str, host: rows.Environment, kind: str, files: Sequence[Path], cases: int) -> rows.Run:
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    return rows.Run(
        run_id=run_id, suite=f"imported-{kind}", suite_sha256=digest, trigger="imported", started_at=now(), host="imported",
        environment_id=host.environment_id, git_commit=None, git_branch=None, git_dirty=None, seed=0, tool_version=kind,
        command=environment.command_line(), cases_planned=cases,
    )  # fmt: skip


def _rows(case: Imported, kind: str, run_id: str, target: Target, host: rows.Environment) -> list[rows.Row]:
    format_ = FORMATS[kind]
    backend, device = target.backend or format_.backend, target.device or format_.device
    workload = f"{target.workload}-{case.name}" if case.name else target.workload
    name = f"{target.model}/{target.variant}/{backend}/{workload}/benchmark"
    key = hashlib.sha256(f"imported-{kind}/{name}".encode()).hexdigest()[:32]
    case_id = new_id()
    parts = (
        f"model={target.model}",
        f"workload={workload}:",
        f"mode=imported {case.states or kind}",
        f"hardware={host.hardware_class}",
        f"device={device}",
        "threads=default",
    )
    result = rows.CaseResult(
        case_id=case_id, run_id=run_id, case_key=key, name=name, model=target.model, model_version=target.version, variant=target.variant,
        backend=backend, device=device, provider=None, workload=workload, check_kind="benchmark", mode="imported", reference=None,
        status="ok", error_type=None, error_message=None, started_at=now(), duration_s=0.0, placement=None, precision=None,
        workload_sha256=None, artifact_id=None, environment_id=host.environment_id, comparability="; ".join(parts), threads=None,
        reproduce=environment.command_line(),
    )  # fmt: skip
    measured = _measurements(case, case_id, run_id, key, host.hardware_class)
    unknown: dict[str, Any] = {"reference_name": None, "reference_us": None, "provenance": "imported"}
    layers = [
        rows.Layer(case_id=case_id, run_id=run_id, **{k: v for k, v in layer.items() if k != "input_shapes"}, **unknown)
        for layer in case.layers
    ]
    return [host, result, *measured, *layers, *[METRICS[row.metric].row for row in measured]]


def _measurements(case: Imported, case_id: str, run_id: str, key: str, hardware: str) -> list[rows.Measurement]:
    """Quantiles of the samples, and what the file states; no interval: how the samples hang together is not known."""
    found: dict[str, Estimate] = {
        name: Estimate(value, None, None, 1) for name, value in case.values.items() if name in METRICS
    }
    if case.samples_ms:
        samples = statistics.as_samples(case.samples_ms, len(case.samples_ms))
        found |= {name: statistics.quantile(samples, q) for name, q in _QUANTILES.items()}
        found[LATENCY_MEAN_MS] = statistics.mean(samples)
    return [
        rows.Measurement(
            case_id=case_id, run_id=run_id, series_id=hashlib.sha256(f"{key}/{name}/{hardware}".encode()).hexdigest()[:32], metric=name,
            value=estimate.value, low=estimate.low, high=estimate.high, n=estimate.n,
            samples=list(case.samples_ms) if name == LATENCY_P50_MS and case.samples_ms else None,
            block_length=len(case.samples_ms) if name == LATENCY_P50_MS and case.samples_ms else None, provenance="imported",
            launches=1 if name == LATENCY_P50_MS and case.samples_ms else None,
        )
        for name, estimate in found.items()
    ]  # fmt: skip


def _told(made: Sequence[rows.Row]) -> dict[str, Any]:
    measured = [row for row in made if isinstance(row, rows.Measurement)]
    return {
        "case": next(row.name for row in made if isinstance(row, rows.CaseResult)),
        "metrics": len(measured),
        "samples": max((len(row.samples or ()) for row in measured), default=0),
        "layers": sum(isinstance(row, rows.Layer) for row in made),
    }
