"""Warm up, then time blocks on command until told to stop."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.runner.backends import load_backend
from assay.runner.errors import UsageError
from assay.runner.timing.memory import gpu_bytes, peak_rss_bytes, rss_bytes
from assay.runner.timing.protocol import calls_per_block, lead_in, timed, warm_up
from assay.runner.worker.events.event import Events
from assay.runner.worker.events.facts import BlockTimed, LibraryImported, MemoryHeld, Ready
from assay.runner.worker.job import CaseJob
from assay.runner.worker.jobs.session import announce, open_session
from assay.runner.workloads import golden

if TYPE_CHECKING:
    from assay.runner.session import Session

Block = Callable[[int], tuple[list[float], dict[str, list[float]]]]
"""Times that many calls: milliseconds of each, and of its phases where they are told apart."""


def run(job: CaseJob, events: Events) -> None:
    """Interactive: one line opens the session, and after `ready` every line on stdin is one block to time."""
    if job.mode != "functional":
        serve(job, events, lambda session: on_device(session, job))
        return

    def prepare(session: Session) -> tuple[Callable[[], object], Block]:
        call = session.prepare(first_inputs(job))

        def block(calls: int) -> tuple[list[float], dict[str, list[float]]]:
            lead_in(call)
            return timed(call, calls), {}

        return call, block

    serve(job, events, prepare)


def builds_of(session: Session) -> dict[str, int]:
    """Engines that a session has built so far, where it builds any by itself."""
    return session.builds()


def on_device(session: Session, job: CaseJob) -> tuple[Callable[[], object], Block]:
    """The call bound on the device, timed in the mode that is asked for.

    Raises:
        UsageError: the session has no device to time on.
    """
    from assay.runner.timing import device

    mode = device.parse_mode(job.mode)
    if session.placement().device != "cuda":
        raise UsageError(
            f"measurement mode {job.mode!r} needs a CUDA device, and the session runs on {session.placement().device}."
        )
    call = session.bind(first_inputs(job), cuda_graph=mode.graph)
    phases = device.phases_of(call, mode)

    def once() -> None:
        device.run_once(call.device, phases, spin=mode.spin)

    def block(calls: int) -> tuple[list[float], dict[str, list[float]]]:
        lead_in(once)
        if not mode.events:
            return timed(once, calls), {}
        made = device.event_block(call.device, phases, calls, spin=mode.spin)
        return made.ms, made.phases

    return once, block


def first_inputs(job: CaseJob) -> dict[str, Any]:
    """The recorded inputs of the first step, in the candidate's names."""
    expected = golden.read(Path(job.goldens), job.golden)
    return {job.rename_inputs.get(name, name): array.copy() for name, array in expected.inputs(0).items()}


def serve(job: CaseJob, events: Events, prepare: Callable[[Session], tuple[Callable[[], object], Block]]) -> None:
    """Load the library, open when told, warm up, time blocks.

    `prepare` gives what to warm up and what makes a block.
    """
    load_backend(job.backend)
    events.emit(LibraryImported(rss_bytes=rss_bytes()))
    sys.stdin.readline()
    started = time.perf_counter()
    with open_session(job) as session:
        announce(session, events, (time.perf_counter() - started) * 1e3)
        loaded = rss_bytes()
        once, block = prepare(session)
        timing = job.timing
        warm = warm_up(once, timing["max_warmup_s"])
        calls = job.block_calls or calls_per_block(warm.typical_ms, timing["block_ms"], timing["min_block_calls"])
        events.emit(Ready(**asdict(warm), block_calls=calls))
        built = builds_of(session)
        for line in sys.stdin:
            if json.loads(line).get("stop"):
                break
            ms, phases = block(calls)
            events.emit(BlockTimed(ms=ms, phases=phases))
        if builds_of(session) != built:
            raise UsageError(
                "an engine was built while blocks were timed: the input has a shape that no profile allows."
            )
        memory = session.memory()
        if session.placement().device == "cuda" and (held := gpu_bytes()):
            memory["gpu_memory_bytes"] = held
        events.emit(MemoryHeld(peak_rss_bytes=peak_rss_bytes(), loaded_rss_bytes=loaded, held=memory))
