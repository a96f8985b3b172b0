"""Timing cases in turns: launches of all of them, and in each launch rounds forwards and backwards (ABBA).

What the machine does hits all of them alike, and what a process does to its own timings is seen by having several.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import numpy as np

from assay.runner.run.checks import timed_check
from assay.runner.run.outcome import Launched, Outcome, Progress
from assay.runner.suites.case import Case
from assay.runner.timing import gpu, statistics
from assay.runner.worker.events.facts import BlockTimed, LibraryImported, MemoryHeld, Opened, Ready
from assay.runner.worker.job import CaseJob
from assay.runner.worker.process import Worker, WorkerFailed
from assay.schema.store.spool import new_id

JobOf = Callable[[Case], CaseJob]
"""What a case's worker is told."""


def time_in_turns(outcomes: list[Outcome], job: JobOf, progress: Progress) -> None:
    """Fill in the blocks of every case, and the ratio to the one that they are compared with."""
    started = time.perf_counter()
    timing = outcomes[0].case.timing
    together = new_id() if len(outcomes) > 1 else None
    for launch in range(timing.launches):
        alive = [outcome for outcome in outcomes if outcome.status == "ok"]
        progress.starting(
            f"{outcomes[0].case.model} on {outcomes[0].case.workload}: {len(alive)} cases timed in turns, "
            f"launch {launch + 1} of {timing.launches}"
        )
        _launch(alive, job, timing.rounds)
    add_ratios(outcomes)
    for outcome in outcomes:
        outcome.group_id = together if outcome.status == "ok" else None
        outcome.duration_s = (time.perf_counter() - started) / len(outcomes)


def _launch(outcomes: list[Outcome], job: JobOf, rounds: int) -> None:
    """One process a case: libraries load side by side, models one after the other, blocks in turns."""
    alone = len(outcomes) == 1
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}
        for outcome in outcomes:
            with _failing(outcome):
                worker = Worker(
                    replace(job(outcome.case), block_calls=outcome.block_calls),
                    python=outcome.case.choice.python,
                    timeout_s=outcome.case.timeout_s * len(outcomes),
                )
                workers[outcome.case_id] = stack.enter_context(worker)
        for outcome in outcomes:
            if outcome.status == "ok":
                with _failing(outcome):
                    _open(workers[outcome.case_id], outcome)
                    outcome.begin_launch()
                if not alone:
                    workers[outcome.case_id].pause()
        for _ in range(rounds):
            for outcome in (*outcomes, *reversed(outcomes)):
                if outcome.status == "ok":
                    with _failing(outcome):
                        _time_block(outcome, workers, alone=alone)
        for outcome in outcomes:
            if outcome.status == "ok":
                with _failing(outcome):
                    workers[outcome.case_id].resume()
                    workers[outcome.case_id].send({"stop": True})
                    outcome.memory.append(workers[outcome.case_id].until(MemoryHeld))


@contextmanager
def _failing(outcome: Outcome) -> Iterator[None]:
    """A worker's failure becomes its case's, and the other cases go on."""
    try:
        yield
    except WorkerFailed as failure:
        outcome.fail(failure)
        outcome.blocks.clear()
        outcome.phases.clear()


def _open(worker: Worker, outcome: Outcome) -> None:
    imported = worker.until(LibraryImported)
    worker.send({"open": True})
    opened = worker.until(Opened)
    outcome.opened = opened.facts()
    ready = worker.until(Ready)
    outcome.block_calls = ready.block_calls
    outcome.launched.append(Launched(imported, opened, ready))


def _time_block(outcome: Outcome, workers: dict[str, Worker], *, alone: bool) -> None:
    """One block of a case; a GPU is watched meanwhile."""
    worker, launch = workers[outcome.case_id], len(outcome.blocks) - 1
    if outcome.opened.get("device") != "cuda":
        made = _block(worker, alone=alone)
    else:
        index = gpu.visible_index(outcome.case.choice.runs_on)
        with gpu.GpuWatch(gpu.looker(index)) as watch:
            made = _block(worker, alone=alone)
        outcome.gpu += watch.samples
        outcome.gpu_own.update(other.pid for other in workers.values())
    outcome.blocks[-1].append(made.ms)
    for name, milliseconds in made.phases.items():
        launches = outcome.phases.setdefault(name, [[] for _ in range(launch + 1)])
        launches[-1].append(milliseconds)


def _block(worker: Worker, *, alone: bool) -> BlockTimed:
    """One block, while every other process of the group stands still; a case that is alone is never stopped."""
    worker.resume()
    worker.send({"block": True})
    try:
        made = worker.until(BlockTimed)
    finally:
        if not alone:
            worker.pause()
    return made


def add_ratios(outcomes: list[Outcome]) -> None:
    """Latency over that of the case that the others are compared with, where it was timed in the same turns."""
    base = min((o for o in outcomes if o.case.is_base), key=lambda o: not o.case.is_reference, default=None)
    for outcome in outcomes:
        if base is not None and base.status == "ok" and outcome is not base and outcome.status == "ok":
            outcome.ratio = statistics.paired_ratio(timed_calls(outcome), timed_calls(base))
            outcome.compared_with = timed_check(base.case.check).compared_with(base.case)


def timed_calls(outcome: Outcome) -> statistics.Samples:
    """[launches, blocks, calls] in milliseconds; of a generation the steps after the prompt."""
    return timed_check(outcome.case.check).calls(np.array(outcome.blocks))
