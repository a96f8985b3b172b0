"""What every backend gives: a session, opened from a source, that says what really ran."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from assay.runner.tensors import Tensors


@dataclass(frozen=True, slots=True)
class Source:
    """What a session is opened from, as a worker's job carries it."""

    kind: str
    """`factory`, `torchscript`, `exported-program`, `onnx`, `engine` or `fake`."""
    location: str
    """Factory reference or path."""
    folder: Path
    """Where relative files are looked for."""
    options: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the factory."""
    outputs: tuple[str, ...] | None = None
    """Names for the outputs in order, where the model itself has none."""
    recipe: str | None = None
    """One of MODULE_RECIPES, which changes the module once it is loaded."""
    recipe_options: dict[str, Any] = field(default_factory=dict)
    sha256: str | None = None
    """Of an engine, as it was recorded when it was built."""


@dataclass(frozen=True, slots=True)
class Placement:
    """What really ran, read from the session and not from what was asked."""

    device: str
    placement: str
    """Providers with the nodes each one got."""
    precision: str
    threads: int | None
    fell_back: str | None = None
    """Why the session is not what was asked for, if it is not."""
    streams: int = 1
    """Copies of the batch that one call runs at the same time."""


class NotBuiltFor(ValueError):
    """An engine was built for other sizes than the input has: a limit of its own, not a fault of the graph."""


class Stream(Protocol):
    """Steps of a model that feeds some of its outputs back."""

    def step(self, inputs: Tensors) -> float:
        """Run one step; a state that `inputs` leaves out is the output of the step before.

        Returns wall time in ms of the call alone, device synchronised.

        Raises:
            ValueError: as `Session.infer`, or a state is left out at the first step.
        """

    def outputs(self) -> Tensors:
        """Outputs of the last step, on the host; the arrays are the caller's to keep."""


def fed_back(states: Mapping[str, str], last: Mapping[str, Any], inputs: Tensors) -> dict[str, Any]:
    """What goes in again: for each state that a step leaves out, the output before it, as the stream keeps it."""
    return {name: last[output] for name, output in states.items() if name not in inputs and output in last}


class HostStream:
    """Steps of any session, states fed back through the host."""

    def __init__(self, session: Session, states: Mapping[str, str]) -> None:
        self._session = session
        self._states = states
        self._last: Tensors = {}

    def step(self, inputs: Tensors) -> float:
        fed = fed_back(self._states, self._last, inputs)
        started = time.perf_counter_ns()
        self._last = self._session.infer({**inputs, **fed})
        return (time.perf_counter_ns() - started) / 1e6

    def outputs(self) -> Tensors:
        return self._last


class Session(Protocol):
    """A model, loaded on a device and ready."""

    output_names: tuple[str, ...]

    def infer(self, inputs: Tensors) -> Tensors:
        """Run one batch; return host arrays once the device has finished. The arrays are the caller's to keep.

        Raises:
            ValueError: an input is missing, unknown, or of a shape or dtype that the model does not take.
        """

    def prepare(self, inputs: Tensors) -> Callable[[], object]:
        """A call that runs this batch again and again, device synchronised inside; inputs are bound beforehand.

        Its result may live on the device and may be reused by the next call.
        """

    def open_stream(self, states: Mapping[str, str]) -> Stream:
        """A stream of steps in which outputs become inputs (`states`: input -> output), on the device where it can."""

    def placement(self) -> Placement: ...

    def state_hash(self) -> str:
        """SHA-256 of what the model computes with: its weights and code, or its file."""


class Backend(Protocol):
    def open_session(self, source: Source, options: dict[str, Any]) -> AbstractContextManager[Session]: ...

    def accepts(self) -> tuple[str, ...]:
        """Kinds of source that it opens."""
