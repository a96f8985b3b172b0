"""Memory of this process as the kernel counts it: read, never derived from the size of a file."""

from __future__ import annotations

import os
from pathlib import Path


def peak_rss_bytes() -> int:
    """Largest resident set of this process since it started (VmHWM: ru_maxrss would count its parent's too)."""
    return _status("VmHWM")


def rss_bytes() -> int:
    """Resident set of this process now (VmRSS)."""
    return _status("VmRSS")


def gpu_bytes() -> int | None:
    """Memory that this process holds on GPUs, as NVML counts it.

    None without NVML, or where it does not tell a process's.
    """
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:  # noqa: BLE001  no library, or no driver
        return None
    used = []
    for index in range(pynvml.nvmlDeviceGetCount()):
        running = pynvml.nvmlDeviceGetComputeRunningProcesses(pynvml.nvmlDeviceGetHandleByIndex(index))
        used += [process.usedGpuMemory for process in running if process.pid == os.getpid() and process.usedGpuMemory]
    return sum(used) or None


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"this kernel reports no {field}")
