"""Timing on a device: events around every call, and no waiting until the block is over.

Knows devices only by their protocol.

A mode is written as words joined by `+`: `events` (device time between events, else the host's clock with the device
synchronised inside), `graph` (the call is a captured CUDA graph), `transfers` (inputs and outputs travel inside the
timed call), `spin` (the host polls
while it waits, instead of sleeping).
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from assay.runner.errors import UsageError, nearest

WORDS = ("events", "graph", "transfers", "spin")


@dataclass(frozen=True, slots=True)
class Mode:
    """How a call on a device is timed."""

    events: bool = False
    graph: bool = False
    transfers: bool = False
    spin: bool = False

    def __str__(self) -> str:
        return "+".join(word for word in WORDS if getattr(self, word))


def parse_mode(text: str) -> Mode:
    """A mode from its words, in any order.

    Raises:
        UsageError: a word is unknown, or stands twice.
    """
    words = text.split("+")
    for word in words:
        if word not in WORDS:
            raise UsageError(f"there is no measurement mode {word!r}.{nearest(word, WORDS)}")
    if len(set(words)) < len(words):
        raise UsageError(f"measurement mode {text!r} says a word twice.")
    return Mode(**dict.fromkeys(words, True))


class Device(Protocol):
    def queue(self) -> AbstractContextManager[Any]: ...

    def event(self, *, timing: bool = True, spin: bool = False) -> Any: ...

    def synchronize(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the call, queued by itself: `h2d`, `compute` or `d2h`."""

    name: str
    queue: Callable[[], object]


@dataclass(frozen=True, slots=True)
class EventBlock:
    """Milliseconds of the calls of one block."""

    ms: list[float]
    """From a call's first event to its last; with the host's clock, wall time."""
    phases: dict[str, list[float]]
    """By phase, between its events; `enqueue` is what the host needed to queue `compute`. Empty with the host's
    clock."""


def phases_of(call: Any, mode: Mode) -> list[Phase]:
    """The parts of a bound call (`assay.runner.backends.cuda_device.DeviceCall`) that the mode times."""
    compute = [Phase("compute", call.compute)]
    return [Phase("h2d", call.upload), *compute, Phase("d2h", call.download)] if mode.transfers else compute


def run_once(device: Device, phases: Sequence[Phase], *, spin: bool) -> None:
    """Queue every phase and wait for the device."""
    with device.queue():
        for phase in phases:
            phase.queue()
        wait(device, spin=spin)


def wait(device: Device, *, spin: bool) -> None:
    """Until the device is done: polling, or asleep."""
    done = device.event(timing=False, spin=spin)
    done.record()
    if not spin:
        done.synchronize()
        return
    while not done.query():
        pass


def event_block(device: Device, phases: Sequence[Phase], calls: int, *, spin: bool) -> EventBlock:
    """Time calls by events. Nothing is waited for between the first event and the last.

    Calls queue up behind each other.
    """
    events = [[device.event(spin=spin) for _ in range(len(phases) + 1)] for _ in range(calls)]
    enqueue = [0.0] * calls
    clock = time.perf_counter_ns
    collecting = gc.isenabled()
    gc.disable()
    try:
        with device.queue():
            for i, (first, *after) in enumerate(events):
                first.record()
                for phase, event in zip(phases, after, strict=True):
                    begun = clock()
                    phase.queue()
                    if phase.name == "compute":
                        enqueue[i] = (clock() - begun) / 1e6
                    event.record()
            wait(device, spin=spin)
    finally:
        if collecting:
            gc.enable()
    between = {phase.name: [row[i].elapsed_time(row[i + 1]) for row in events] for i, phase in enumerate(phases)}
    return EventBlock([row[0].elapsed_time(row[-1]) for row in events], {"enqueue": enqueue, **between})
