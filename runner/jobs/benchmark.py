"""Warm up, then time blocks on command until told to stop."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from runner.jobs.common import Events, Job, announce, open_session
from runner.parity import golden
from runner.timing.protocol import calls_per_block, timed, warm_up


def run(job: Job, events: Events) -> None:
    """Interactive: after `ready`, every line on stdin is one block to time."""
    expected = golden.read(Path(job["goldens"]), job["golden"])
    inputs = {job["rename_inputs"].get(name, name): array.copy() for name, array in expected.inputs(0).items()}
    started = time.perf_counter()
    with open_session(job) as session:
        announce(session, events, (time.perf_counter() - started) * 1e3)
        call = session.prepare(inputs)
        timing = job["timing"]
        warm = warm_up(call, timing["max_warmup_s"])
        calls = calls_per_block(warm.typical_ms, timing["block_ms"], timing["min_block_calls"])
        events.emit("ready", **asdict(warm), block_calls=calls)
        for line in sys.stdin:
            if json.loads(line).get("stop"):
                break
            events.emit("block", ms=timed(call, calls))
        events.emit("memory", peak_rss_bytes=peak_rss_bytes())


def peak_rss_bytes() -> int:
    """Largest resident set of this process since it started (VmHWM: ru_maxrss would count its parent's too)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this kernel reports no VmHWM")
