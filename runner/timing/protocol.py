"""The measurement protocol inside the measured process: warm up to a steady state, then blocks of timed calls.

What runs here imports almost nothing and allocates little: the process under measurement is not to be disturbed.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

_WINDOW_MS = 15.0
_LONG_MS = 250.0
"""A window as long as this needs no more calls."""
_WINDOWS = 4
_STEADY = 0.04
"""The medians of the last windows lie within 4 % of each other, and do not fall throughout."""


@dataclass(frozen=True, slots=True)
class Warmup:
    first_ms: float
    """The first call, with everything that is done once."""
    calls: int
    seconds: float
    steady: bool
    """False when the time was up before the medians settled."""
    typical_ms: float


def warm_up(call: Callable[[], object], max_s: float) -> Warmup:
    """Call until the time of a call has settled, at most `max_s` seconds."""
    started = time.perf_counter()
    first_ms = timed(call, 1)[0]
    calls, medians = 1, [first_ms]
    while time.perf_counter() - started < max_s:
        window: list[float] = []
        while sum(window) < _WINDOW_MS or (len(window) < 3 and sum(window) < _LONG_MS):
            window += timed(call, 1)
        calls += len(window)
        medians.append(statistics.median(window))
        if is_steady(medians[1:]):
            return Warmup(first_ms, calls, time.perf_counter() - started, True, medians[-1])
    return Warmup(first_ms, calls, time.perf_counter() - started, False, medians[-1])


def is_steady(medians: list[float]) -> bool:
    """Whether the last windows agree within 4 % and are not still falling."""
    last = medians[-_WINDOWS:]
    if len(last) < _WINDOWS:
        return False
    falling = all(later < earlier for earlier, later in pairwise(last))
    return max(last) <= min(last) * (1 + _STEADY) and not (falling and last[-1] < last[0] * 0.99)


def timed(call: Callable[[], object], repeats: int) -> list[float]:
    """Milliseconds of each call. The garbage collector waits: its pauses belong to Python, not to the model."""
    clock = time.perf_counter_ns
    samples = [0] * repeats
    collecting = gc.isenabled()
    gc.disable()
    try:
        for i in range(repeats):
            start = clock()
            call()
            samples[i] = clock() - start
    finally:
        if collecting:
            gc.enable()
    return [sample / 1e6 for sample in samples]


_LEAD_IN_S = 0.02


def lead_in(call: Callable[[], object]) -> None:
    """Calls that are not timed, at the start of a block: another process had the caches before."""
    until = time.perf_counter() + _LEAD_IN_S
    call()
    while time.perf_counter() < until:
        call()


def calls_per_block(typical_ms: float, block_ms: float, at_least: int) -> int:
    """How many calls fill a block."""
    return max(at_least, min(100_000, round(block_ms / max(typical_ms, 1e-4))))
