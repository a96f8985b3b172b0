"""A backend that computes with numpy and misbehaves on request: for trying Assay without an ML library, and for tests.

Output = gain * input + offset, for every input; options: `gain`, `offset`, `delay_ms`, `noise` (seeded), `fault`
(`raise`, `nan`, `shape`, `dtype`, `segfault`, `hang`, `kill`, `memory`, `fallback`), `threads`.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

import numpy as np

from assay.runner.backends import BACKENDS, check_session_options
from assay.runner.session import Placement, Session, Source
from assay.runner.tensors import Array, Tensors


def accepts() -> tuple[str, ...]:
    return BACKENDS["fake"].opens


@contextmanager
def open_session(source: Source, options: dict[str, Any]) -> Iterator[FakeSession]:
    settings = {**source.options, **options}
    check_session_options("fake", settings)
    yield FakeSession(settings)


class FakeSession(Session):
    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings
        self._random = np.random.default_rng(0)

    def infer(self, inputs: Tensors) -> Tensors:
        if not inputs:
            raise ValueError("the fake model takes at least one input; the workload has none")
        self._misbehave()
        if delay := self._settings.get("delay_ms"):
            time.sleep(delay / 1000)
        return {f"{name}_out": self._compute(array) for name, array in inputs.items()}

    def _compute(self, array: Array) -> Array:
        result: Array = array * array.dtype.type(self._settings.get("gain", 1)) + array.dtype.type(
            self._settings.get("offset", 0)
        )
        if noise := self._settings.get("noise"):
            result = result + (noise * self._random.standard_normal(array.shape)).astype(array.dtype)
        match self._settings.get("fault"):
            case "nan":
                result = np.full_like(result, np.nan)
            case "shape":
                result = result.reshape(-1)
            case "dtype":
                result = result.astype(np.float64)
        return result

    def _misbehave(self) -> None:
        match self._settings.get("fault"):
            case "raise":
                raise RuntimeError("the fake model was asked to fail")
            case "segfault":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "memory":
                np.empty(1 << 60, np.uint8)
            case "hang":
                time.sleep(3600)

    def prepare(self, inputs: Tensors) -> Callable[[], object]:
        return lambda: self.infer(inputs)

    def placement(self) -> Placement:
        fell_back = (
            "asked for FakeExecutionProvider, ran on the CPU" if self._settings.get("fault") == "fallback" else None
        )
        return Placement("cpu", "numpy", "as given", self._settings.get("threads"), fell_back)

    def state_hash(self) -> str:
        return sha256(json.dumps(self._settings, sort_keys=True).encode()).hexdigest()
