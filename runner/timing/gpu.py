"""What a GPU does while it is measured, as NVML tells it.

Clocks, power, temperature, why it is held back, and who else uses it.

The parent process asks, on a thread of its own: the measured process is not disturbed. Without NVML nothing is known,
and nothing is said.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from statistics import median
from typing import Any, Self

_EVERY_S = 0.05
_REASONS = {
    "nvmlClocksEventReasonSwPowerCap": "power cap", "nvmlClocksEventReasonHwSlowdown": "hardware slowdown",
    "nvmlClocksEventReasonSwThermalSlowdown": "heat (software)", "nvmlClocksEventReasonHwThermalSlowdown": "heat (hardware)",
    "nvmlClocksEventReasonHwPowerBrakeSlowdown": "power brake", "nvmlClocksEventReasonSyncBoost": "sync boost",
}  # fmt: skip
"""Reasons that lower a clock below what was meant, by their NVML constant; being idle, or at clocks that someone set,
is none."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at one GPU; None for what the device does not tell."""

    sm_mhz: int | None
    memory_mhz: int | None
    power_w: float | None
    temperature_c: int | None
    reasons: tuple[str, ...]
    processes: frozenset[int]
    """Process ids with work on it."""


class GpuWatch:
    """Looks at a GPU at intervals for as long as the `with` lasts."""

    def __init__(self, look: Callable[[], Sample | None], every_s: float = _EVERY_S) -> None:
        self.samples: list[Sample] = []
        self._look, self._every_s = look, every_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep_looking, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _keep_looking(self) -> None:
        while (sample := self._look()) is not None:
            self.samples.append(sample)
            if self._over.wait(self._every_s):
                return


def figures(samples: Iterable[Sample]) -> dict[str, float]:
    """Medians of what was seen, by metric; empty where nothing was."""
    seen = list(samples)
    columns: dict[str, list[Any]] = {
        "gpu_clock_mhz": [s.sm_mhz for s in seen],
        "gpu_memory_clock_mhz": [s.memory_mhz for s in seen],
        "gpu_power_w": [s.power_w for s in seen],
        "gpu_temperature_c": [s.temperature_c for s in seen],
    }
    known = {metric: [value for value in values if value is not None] for metric, values in columns.items()}
    found = {metric: float(median(values)) for metric, values in known.items() if values}
    if seen:
        found["gpu_throttled_share"] = sum(bool(s.reasons) for s in seen) / len(seen)
    return found


def problems(samples: Iterable[Sample], own: Iterable[int]) -> list[tuple[str, str, str]]:
    """(kind, subject, message) of what makes the timings worth less: a GPU that was held back, or shared."""
    seen = list(samples)
    found = []
    held = [s for s in seen if s.reasons]
    if held:
        reasons = sorted({reason for s in held for reason in s.reasons})
        found.append(
            (
                "gpu_throttled",
                "clocks",
                f"the GPU was held back in {len(held)} of {len(seen)} looks: {', '.join(reasons)}",
            )
        )
    if foreign := _foreign(seen, set(own)):
        found.append(
            ("foreign_gpu_process", "processes", f"{foreign} other processes were on the GPU at the same time")
        )
    return found


def _foreign(seen: list[Sample], own: set[int]) -> int:
    """Processes beside the measurement's.

    In a container NVML's numbers are the host's: then there is only their number to go by.
    """
    processes = {process for s in seen for process in s.processes}
    if processes & own:
        return len(processes - own)
    return max((len(s.processes) - len(own) for s in seen), default=0) if processes else 0


def visible_index(device: str) -> int:
    """NVML's number of a device that CUDA knows as `cuda:N`: CUDA_VISIBLE_DEVICES may hide some."""
    number = int(device.partition(":")[2] or 0)
    visible = [part for part in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if part.strip().isdigit()]
    return int(visible[number]) if number < len(visible) else number


@cache
def looker(index: int) -> Callable[[], Sample | None]:
    """A function that looks at one GPU; it sees None without NVML, a driver or that GPU.

    Found once: every block asks for it.
    """
    try:
        import pynvml

        pynvml.nvmlInit()
        device = pynvml.nvmlDeviceGetHandleByIndex(index)
    except Exception:  # noqa: BLE001  no library, driver or device: NVML's errors have no public base
        return lambda: None
    return lambda: _look(pynvml, device)


def _look(nvml: Any, device: Any) -> Sample:
    def asked(question: Callable[[], Any]) -> Any:
        try:
            return question()
        except nvml.NVMLError:
            return None

    bits = asked(lambda: nvml.nvmlDeviceGetCurrentClocksEventReasons(device)) or 0
    power = asked(lambda: nvml.nvmlDeviceGetPowerUsage(device))
    running = asked(lambda: nvml.nvmlDeviceGetComputeRunningProcesses(device)) or []
    return Sample(
        sm_mhz=asked(lambda: nvml.nvmlDeviceGetClockInfo(device, nvml.NVML_CLOCK_SM)),
        memory_mhz=asked(lambda: nvml.nvmlDeviceGetClockInfo(device, nvml.NVML_CLOCK_MEM)),
        power_w=None if power is None else power / 1000,
        temperature_c=asked(lambda: nvml.nvmlDeviceGetTemperature(device, nvml.NVML_TEMPERATURE_GPU)),
        reasons=tuple(words for name, words in _REASONS.items() if bits & int(getattr(nvml, name, 0))),
        processes=frozenset(process.pid for process in running),
    )


def driver_version() -> str | None:
    """None without NVML."""
    try:
        import pynvml

        pynvml.nvmlInit()
        return str(pynvml.nvmlSystemGetDriverVersion())
    except Exception:  # noqa: BLE001  as in `looker`
        return None
