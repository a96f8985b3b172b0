"""Run with every operator timed, in a process of its own: a profiled latency is not a benchmark."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from assay.runner.backends import BACKENDS
from assay.runner.errors import UsageError
from assay.runner.timing.memory import peak_rss_bytes, rss_bytes
from assay.runner.worker.events.event import Events
from assay.runner.worker.events.facts import LayersTimed, MemoryHeld
from assay.runner.worker.job import CaseJob
from assay.runner.worker.jobs.benchmark import first_inputs
from assay.runner.worker.jobs.session import announce, open_session

_WARM_UP = 3


def run(job: CaseJob, events: Events) -> None:
    """Emits `opened`, `layers` and `memory`.

    Raises:
        UsageError: the backend has no profiler.
    """
    if not BACKENDS[job.backend].profiles:
        raise UsageError(f"backend {job.backend!r} has no profiler.")
    started = time.perf_counter()
    with open_session(replace(job, options={**job.options, "profile": True})) as opened:
        session: Any = opened
        announce(session, events, (time.perf_counter() - started) * 1e3)
        loaded = rss_bytes()
        layers, memory = session.profile(first_inputs(job), job.timing["profile_calls"], _WARM_UP)
        inspected = session.information()
    events.emit(LayersTimed(layers=layers, inspected=inspected))
    events.emit(MemoryHeld(peak_rss_bytes=peak_rss_bytes(), loaded_rss_bytes=loaded, held=memory))
