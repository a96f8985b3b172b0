"""A device that is the host's own memory, with a stream and events that write down what was asked of them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import torch

from assay.runner.backends.cuda_device import Cuda, at_host

TRACE: list[str] = []
"""What was queued, recorded and waited for, in order."""


class HostStream:
    def __init__(self, number: int) -> None:
        self.cuda_stream = 0x1000 + number

    def synchronize(self) -> None:
        TRACE.append("synchronize")

    def wait_event(self, event: HostEvent) -> None:
        TRACE.append(f"stream {self.cuda_stream - 0x1000} waits")


class HostEvent:
    def __init__(self, *, timing: bool) -> None:
        self._timing = timing
        self._at: float | None = None

    def record(self, stream: HostStream | None = None) -> None:
        TRACE.append("record")
        self._at = time.perf_counter()

    def query(self) -> bool:
        TRACE.append("query")
        return self._at is not None

    def synchronize(self) -> None:
        TRACE.append("wait")

    def elapsed_time(self, later: HostEvent) -> float:
        assert self._timing, "an event without timing has no elapsed time"
        assert self._at is not None
        assert later._at is not None
        return (later._at - self._at) * 1e3


class HostCuda(Cuda):
    def __init__(self, name: str = "cuda:0") -> None:
        self.name = name
        self.device = torch.device("cpu")
        self._count = 0
        self.stream = self.new_stream()

    def new_stream(self) -> HostStream:
        self._count += 1
        return HostStream(self._count)

    def queue(self) -> Any:
        return contextlib.nullcontext()

    def event(self, *, timing: bool = True, spin: bool = False) -> HostEvent:
        return HostEvent(timing=timing)

    def pinned(self, tensor: torch.Tensor) -> torch.Tensor:
        return torch.empty(tensor.shape, dtype=tensor.dtype)

    def capture(self, call: Callable[[], object]) -> Callable[[], object]:
        call()
        call()
        TRACE.append("captured")
        return call

    def at(self, address: int, size: int, stream: int) -> torch.Tensor:
        return at_host(address, size)
