"""What every backend gives: a session, opened from a source, that says what really ran."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
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
    """That one operator is computed with on the host, as they are; None where the library does not say."""
    fell_back: str | None = None
    """Why the session is not what was asked for, if it is not."""
    streams: int = 1
    """Copies of the batch that one call runs at the same time."""
    modules: int | None = None
    """Of a module that a recipe changed: its parts, as many as compute or hold weights; None of everything else."""
    modules_changed: int | None = None
    """How many of them are of another class, or hold another dtype, than before."""


def refused(kind: str, side: str = "input") -> str | None:
    """Why a port of this type cannot be used, in words that follow its name; None where it can.

    `kind` is a dtype (`float32`, `string`), or a type as ONNX writes it (`seq(map(int64,tensor(float)))`); `side` is
    `input` or `output`. Tensors of numbers and of text work on both sides, and so do sequences of them and optional
    ones; maps come out as tensors, and cannot be fed.
    """
    if "sparse" in kind or "opaque" in kind:
        return f"is {kind}: a workload and a comparison have dense arrays only"
    if "complex" in kind:
        return f"is {kind}, which no backend of a file computes with: give it as real numbers with a last axis of 2"
    if kind.count("seq(") > 1 and side == "input":
        return f"is {kind}: a sequence of sequences cannot be fed, a sequence of tensors can"
    if "map(" in kind and side == "input":
        return f"is {kind}: a map cannot be fed; give the model tensors (without its DictVectorizer, CastMap, ...)"
    if not kind or "undefined" in kind:
        return "has no type in the file: run onnx.shape_inference over it, or name its type"
    return None


class NotBuiltFor(ValueError):
    """An engine was built for other sizes than the input has: a limit of its own, not a fault of the graph."""


class Stream(ABC):
    """Steps of a model that feeds some of its outputs back."""

    @abstractmethod
    def step(self, inputs: Tensors) -> float:
        """Run one step; a state that `inputs` leaves out is the output of the step before.

        Returns wall time in ms of the call alone, device synchronised.

        Raises:
            ValueError: as `Session.infer`, or a state is left out at the first step.
        """

    @abstractmethod
    def outputs(self) -> Tensors:
        """Outputs of the last step, on the host; the arrays are the caller's to keep."""

    def device_outputs(self) -> dict[str, Any] | None:
        """The same to be compared where they lie on a device; None where they lie on the host, or cannot be reached."""
        return None


def fed_back(states: Mapping[str, str], last: Mapping[str, Any], inputs: Tensors) -> dict[str, Any]:
    """What goes in again: for each state that a step leaves out, the output before it, as the stream keeps it."""
    return {name: last[output] for name, output in states.items() if name not in inputs and output in last}


class HostStream(Stream):
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


class Session(ABC):
    """A model, loaded on a device and ready.

    Every ability is declared here. What a backend leaves out answers "not known" (None, or nothing in it), or refuses
    in words: who asks a session never asks whether it could answer.
    """

    output_names: tuple[str, ...] = ()
    """In the model's order; empty until the first batch has run, where only the outputs themselves say it."""
    module: Any = None
    """The PyTorch module inside; None of a session that has none."""
    left_out: tuple[str, ...] = ()
    """What the last batch gave beside its outputs and is no tensor, in words: `'extra' (None)`."""
    arithmetics: tuple[str, ...] = ()
    """Other arithmetics that `infer_as` computes in; none of most backends."""

    @abstractmethod
    def infer(self, inputs: Tensors) -> Tensors:
        """Run one batch; return host arrays once the device has finished. The arrays are the caller's to keep.

        Raises:
            ValueError: an input is missing, unknown, or of a shape or dtype that the model does not take.
        """

    @abstractmethod
    def prepare(self, inputs: Tensors) -> Callable[[], object]:
        """A call that runs this batch again and again, device synchronised inside; inputs are bound beforehand.

        Its result may live on the device and may be reused by the next call.
        """

    @abstractmethod
    def placement(self) -> Placement:
        """What really runs, read from the session."""

    def arithmetic(self, inputs: Tensors) -> dict[str, dict[str, int]] | None:  # noqa: ARG002  most do not say
        """`products` and `others` by the element type that they really ran in on these inputs; None: not known."""
        return None

    @abstractmethod
    def state_hash(self) -> str:
        """SHA-256 of what the model computes with: its weights and code, or its file."""

    def open_stream(self, states: Mapping[str, str]) -> Stream:
        """A stream of steps in which outputs become inputs (`states`: input -> output), on the device where it can."""
        return HostStream(self, states)

    def bind(self, inputs: Tensors, *, cuda_graph: bool = False) -> Any:  # noqa: ARG002  no device, nothing to bind
        """A batch bound at fixed addresses on a CUDA device (`assay.runner.backends.cuda_device.DeviceCall`).

        Raises:
            ValueError: as `infer`, or the session has no device that it could be timed on.
        """
        raise ValueError(f"a {type(self).__name__} has no device that calls could be timed on")

    def profile(self, inputs: Tensors, calls: int, warm_up: int) -> tuple[list[dict[str, Any]], dict[str, int]]:  # noqa: ARG002
        """Layers with their times over some calls, and bytes that were held (empty where nothing tells).

        Raises:
            ValueError: as `infer`, or the backend has no profiler.
        """
        raise ValueError(f"a {type(self).__name__} has no profiler")

    def infer_as(self, inputs: Tensors, arithmetic: str) -> Tensors:  # noqa: ARG002  it computes in its own alone
        """Outputs in one of `arithmetics`.

        Raises:
            ValueError: the session does not compute in it.
        """
        raise ValueError(f"a {type(self).__name__} does not compute in {arithmetic}")

    def builds(self) -> dict[str, int]:
        """Engines that the session has built by itself so far, with the time of each; empty where it builds none."""
        return {}

    def memory(self) -> dict[str, int]:
        """Bytes that the backend's own allocator held at most, by metric; empty where it is not known."""
        return {}

    def information(self) -> str | None:
        """What the library's inspector writes of an engine (JSON); None where there is none."""
        return None

    def parameters(self) -> tuple[int | None, int | None]:
        """Elements and bytes of the weights as they are held; None where it is not known."""
        return None, None

    def weights_origin(self) -> str | None:
        """Where the weights are from, if the model says it."""
        return None

    def in_training(self) -> list[str]:
        """What stays in training mode although it is to be evaluated; empty where nothing does, or nothing can."""
        return []

    def changed_by_eval(self) -> list[str]:
        """Parts of a model that came in training mode and compute something else in evaluation mode."""
        return []


class Backend(Protocol):
    def open_session(self, source: Source, options: dict[str, Any]) -> AbstractContextManager[Session]: ...

    def accepts(self) -> tuple[str, ...]:
        """Kinds of source that it opens."""
