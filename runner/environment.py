"""What this host is: everything that can move a number, captured without importing an ML library."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import psutil

from assay.schema.rows import Environment

_FEATURES = (
    "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_int8", "amx_bf16", "amx_tile",
    "asimddp", "i8mm", "bf16", "sve",
)  # fmt: skip


def tool_version() -> str:
    """The version of Assay that is installed; `unknown` where it only lies there, as for a worker elsewhere."""
    try:
        return importlib.metadata.version("assay")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def capture() -> Environment:
    """The environment of this process and host."""
    versions = library_versions()
    cpu_model, features = _cpu()
    cores = len(os.sched_getaffinity(0))
    gpu = _gpu()
    hardware_class = f"{gpu['gpu']} x{gpu['gpu_count']}" if gpu["gpu"] else f"{cpu_model}, {cores} cores"
    return identified(
        Environment(
            environment_id="", hardware_class=hardware_class, os=_os(), kernel=platform.release(), cpu_model=cpu_model,
            cpu_features=features, cpu_cores=cores, memory_bytes=psutil.virtual_memory().total,
            python=versions["python"], numpy=versions["numpy"], torch=versions.get("torch"), onnx=versions.get("onnx"),
            onnxruntime=versions.get("onnxruntime"), tensorrt=versions.get("tensorrt"), **gpu,
        )
    )  # fmt: skip


def with_versions(environment: Environment, versions: dict[str, str]) -> Environment:
    """The same host as a worker with its own interpreter sees it."""
    names = ("python", "numpy", "torch", "onnx", "onnxruntime", "tensorrt")
    return identified(replace(environment, **{name: versions.get(name) for name in names}))  # type: ignore[arg-type]


def identified(environment: Environment) -> Environment:
    facts = asdict(environment)
    facts.pop("environment_id")
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return replace(environment, environment_id=digest[:32])


def library_versions() -> dict[str, str]:
    """Installed versions by library, from package metadata alone."""
    found = {"python": platform.python_version()}
    aliases = {
        "onnxruntime": ("onnxruntime-gpu", "onnxruntime"),
        "tensorrt": ("tensorrt-cu13", "tensorrt-cu12", "tensorrt"),
    }
    for library in ("numpy", "torch", "onnx", "onnxruntime", "tensorrt"):
        if (version := _installed(*aliases.get(library, (library,)))) is not None:
            found[library] = version
    return found


def _installed(*names: str) -> str | None:
    """The version of the first of these packages that is here."""
    for name in names:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def _os() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return platform.platform()


def _cpu() -> tuple[str, str]:
    """Model name and the instruction sets that matter."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine(), ""
    fields = dict(line.split(":", 1) for line in text.split("\n\n")[0].splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    return fields.get("model name", platform.machine()), " ".join(name for name in _FEATURES if name in flags)


def _gpu() -> dict[str, Any]:
    nothing: dict[str, Any] = {
        "gpu": None,
        "gpu_count": 0,
        "gpu_memory_bytes": None,
        "gpu_driver": None,
        "gpu_clocks": None,
        "gpu_ecc": None,
        "gpu_mig": None,
        "cuda": None,
        "cudnn": None,
    }
    try:
        import pynvml
    except ImportError:
        return nothing
    try:
        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
        if not count:
            return nothing
        device = pynvml.nvmlDeviceGetHandleByIndex(0)
        cuda = pynvml.nvmlSystemGetCudaDriverVersion()
        return {
            **nothing,
            "gpu": pynvml.nvmlDeviceGetName(device),
            "gpu_count": count,
            "gpu_memory_bytes": pynvml.nvmlDeviceGetMemoryInfo(device).total,
            "gpu_driver": pynvml.nvmlSystemGetDriverVersion(),
            "cuda": f"{cuda // 1000}.{cuda % 1000 // 10}",
            "cudnn": _installed("nvidia-cudnn-cu13", "nvidia-cudnn-cu12"),
            "gpu_clocks": _asked(lambda: f"applications {pynvml.nvmlDeviceGetApplicationsClock(device, 0)} MHz"),
            "gpu_ecc": _asked(lambda: bool(pynvml.nvmlDeviceGetEccMode(device)[0])),
            "gpu_mig": _asked(lambda: bool(pynvml.nvmlDeviceGetMigMode(device)[0])),
        }
    except pynvml.NVMLError:
        return nothing


def _asked(question: Any) -> Any:
    """An answer that some devices do not give."""
    import pynvml

    try:
        return question()
    except pynvml.NVMLError:
        return None


def git_state(folder: Path) -> tuple[str | None, str | None, bool | None]:
    """Commit, branch and whether there are uncommitted changes; None where there is no repository."""
    commit = git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None, None, None
    status = git(folder, "status", "--porcelain", "--untracked-files=no")
    return commit, git(folder, "rev-parse", "--abbrev-ref", "HEAD"), bool(status)


def git(folder: Path, *arguments: str) -> str | None:
    """What git prints there, without its ends; None where it is not installed, refuses, or takes half a minute."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],  # noqa: S607  git is found on PATH, like anywhere
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def command_line() -> str:
    return "assay " + " ".join(sys.argv[1:])
