"""What is in force in this process that changes speed or numbers, whatever was asked for: read here, by the worker.

The parent's environment says what a worker should get. A wrapper round its interpreter, `taskset`, a container's quota
or a line of the model's own code decide what it has.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

_PREFIXES = (
    "OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "GOTO_", "BLIS_", "VECLIB_", "NUMEXPR_", "TBB_",
    "ORT_", "ONEDNN_", "DNNL_", "ATEN_", "TORCH_", "TORCHINDUCTOR_", "PYTORCH_", "TENSORRT_", "TRT_", "OPENVINO_", "OV_",
    "CUDA_", "CUBLAS_", "CUBLASLT_", "CUDNN_", "NVIDIA_", "NPY_", "MALLOC_", "TCMALLOC_", "MIMALLOC_", "JEMALLOC_",
)  # fmt: skip
_NAMES = frozenset({"LD_PRELOAD", "LD_BIND_NOW", "GLIBC_TUNABLES", "PYTHONMALLOC", "TOKENIZERS_PARALLELISM"})
_FOLDERS = re.compile(r"_(HOME|DIR|PATH|FILE|FOLDER|LOGS?|CACHE|ROOT|VERSION)$")
"""Variables that say where something lies or what is printed: they move no figure, and differ from host to host."""
_ALLOCATORS = ("jemalloc", "tcmalloc", "mimalloc", "tbbmalloc", "hoard")
_SCHEDULERS = {0: "other", 1: "fifo", 2: "rr", 3: "batch", 5: "idle", 6: "deadline"}
_CPU = Path("/sys/devices/system/cpu")
_CGROUP = Path("/sys/fs/cgroup")


def in_force(threads: int | None) -> dict[str, Any]:
    """Everything, as it is once a session is open; JSON's types alone.

    `threads` is what the session told: threads that one operator is computed with. None and absent keys stand for what
    cannot be read here.
    """
    affinity = sorted(os.sched_getaffinity(0))
    return {
        "threads": threads,
        **_torch(),
        "pools": _pools(),
        "affinity": ranges(affinity),
        "governor": governor(affinity),
        "boost": boost(),
        "cpu_quota": cpu_quota(),
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "scheduler": _SCHEDULERS.get(os.sched_getscheduler(0), "unknown"),
        "allocator": allocator(),
        "denormals": "kept" if np.float32(1e-45) * np.float32(1) > 0 else "flushed",
        "variables": variables(started_with()),
    }


def started_with(path: Path = Path("/proc/self/environ")) -> dict[str, str]:
    """The environment that this process began with: what libraries have put into it since is the same everywhere."""
    try:
        pairs = path.read_bytes().split(b"\0")
    except OSError:
        return dict(os.environ)
    return dict(os.fsdecode(pair).split("=", 1) for pair in pairs if b"=" in pair)


def variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that change speed or numbers, by name; of libraries that are loaded first, their file names."""
    found = {
        name: value
        for name, value in environment.items()
        if (name in _NAMES or name.startswith(_PREFIXES)) and not _FOLDERS.search(name)
    }
    if preloaded := found.get("LD_PRELOAD"):
        found["LD_PRELOAD"] = " ".join(Path(part).name for part in re.split(r"[:\s]+", preloaded) if part)
    return dict(sorted(found.items()))


def ranges(numbers: list[int]) -> str:
    """CPUs as `taskset` writes them: `0-3,8`; "" of none."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ",".join("-".join(map(str, run)) for run in runs)


def governor(cpus: list[int], root: Path = _CPU) -> str | None:
    """What sets the clocks of these CPUs, several joined by `+`; None where the kernel does not say."""
    found = {_text(root / f"cpu{cpu}" / "cpufreq" / "scaling_governor") for cpu in cpus}
    return "+".join(sorted(word for word in found if word)) or None


def boost(root: Path = _CPU) -> str | None:
    """Whether clocks above the nominal one are allowed: `on` or `off`; None where the kernel does not say."""
    if no_turbo := _text(root / "intel_pstate" / "no_turbo"):
        return "off" if no_turbo == "1" else "on"
    allowed = _text(root / "cpufreq" / "boost")
    return {"0": "off", "1": "on"}.get(allowed or "")


def cpu_quota(root: Path = _CGROUP, own: Path = Path("/proc/self/cgroup")) -> float | None:
    """CPUs that this process's control groups allow it on average, the least of them; None where none limits it.

    Version 2 (`cpu.max`) and version 1 (`cpu.cfs_quota_us` over `cpu.cfs_period_us`) are read, up to the root.
    """
    limits = []
    for line in (_text(own) or "").splitlines():
        _, controllers, path = line.split(":", 2)
        names = controllers.split(",")
        if controllers and "cpu" not in names:
            continue
        top = root if not controllers else next((root / n for n in (controllers, "cpu") if (root / n).exists()), root)
        folder = top / path.lstrip("/")
        limits += [_limit(level) for level in (folder, *folder.parents) if level.is_relative_to(top)]
    known = [limit for limit in limits if limit is not None]
    return min(known) if known else None


def _limit(folder: Path) -> float | None:
    words = (_text(folder / "cpu.max") or "").split() or [
        _text(folder / f"cpu.cfs_{name}_us") or "-1" for name in ("quota", "period")
    ]
    quota, period = (float(word) if word.lstrip("-").isdigit() else -1.0 for word in (*words, "100000")[:2])
    return round(quota / period, 3) if quota > 0 and period > 0 else None


def allocator(maps: Path = Path("/proc/self/maps")) -> str:
    """The memory allocator that is loaded beside the C library's own, else `libc`."""
    text = _text(maps) or ""
    return "+".join(name for name in _ALLOCATORS if f"lib{name}" in text) or "libc"


def _pools() -> dict[str, int]:
    """Threads of every pool that is loaded (OpenMP, BLAS), as threadpoolctl reads them; none where it is not there."""
    try:
        known: Any = importlib.import_module("threadpoolctl")
    except ImportError:
        return {}
    return dict(sorted((str(pool["prefix"]), int(pool["num_threads"])) for pool in known.threadpool_info()))


def _torch() -> dict[str, Any]:
    """PyTorch's switches, where it is loaded; nothing is loaded for them."""
    torch: Any = sys.modules.get("torch")
    if torch is None:
        return {}
    backends = torch.backends
    asked: dict[str, Callable[[], Any]] = {
        "interop_threads": torch.get_num_interop_threads,
        "float32_matmul_precision": torch.get_float32_matmul_precision,
        "tf32": lambda: bool(backends.cuda.matmul.allow_tf32 or backends.cudnn.allow_tf32),
        "cudnn_benchmark": lambda: bool(backends.cudnn.benchmark),
        "deterministic": lambda: bool(torch.are_deterministic_algorithms_enabled()),
        "mkldnn": lambda: bool(backends.mkldnn.enabled),
    }
    told = {}
    for name, question in asked.items():
        try:
            told[name] = question()
        except (AttributeError, RuntimeError):  # another release of it does not say
            continue
    return told


def _text(path: Path) -> str | None:
    """What a file of the kernel says; None where there is none, or it may not be read."""
    try:
        return path.read_text().strip() or None
    except (OSError, ValueError):
        return None
