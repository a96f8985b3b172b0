"""Profile: every operator timed, the cases of one table side by side, and why one is not faster than the other."""

from __future__ import annotations

import time

from assay.runner import environment
from assay.runner.graphs import engine_pair as compare
from assay.runner.run.checks.timed import TimedCheck
from assay.runner.run.outcome import Outcome, Progress
from assay.runner.run.turns import JobOf
from assay.runner.timing.not_faster import why_not_faster
from assay.runner.timing.traces import matched
from assay.runner.worker.events.facts import LayersTimed, MemoryHeld, Opened
from assay.runner.worker.process import Worker, WorkerFailed


class ProfileCheck(TimedCheck):
    def measure(self, outcomes: list[Outcome], job: JobOf, progress: Progress) -> None:
        _profile(outcomes, job, progress)

    def mode_words(self, outcome: Outcome) -> str:
        del outcome
        return "profiled"

    def headline(self, outcome: Outcome) -> str | None:
        if not outcome.layers:
            return None
        top = max(outcome.layers, key=lambda layer: float(layer["share"]))
        return f"{len(outcome.layers)} operators; {top['name']} takes {top['share']:.0%}"


def _profile(outcomes: list[Outcome], job: JobOf, progress: Progress) -> None:
    """Fill in layers, memory and findings of every case."""
    for outcome in outcomes:
        progress.starting(f"{outcome.case.name}: every operator timed")
        started = time.perf_counter()
        case = outcome.case
        try:
            with Worker(job(case), python=case.choice.python, timeout_s=case.timeout_s) as worker:
                outcome.opened = worker.until(Opened).facts()
                told = worker.until(LayersTimed)
                outcome.layers, outcome.inspected = told.layers, told.inspected
                outcome.memory = [worker.until(MemoryHeld)]
        except WorkerFailed as failure:
            outcome.fail(failure)
        if outcome.status == "ok" and not outcome.layers:
            outcome.status, outcome.error_message = "vacuous", "the profile names no layer: nothing was timed"
        outcome.duration_s = time.perf_counter() - started
    base = next((o for o in outcomes if _is_float(o) and o.status == "ok"), None)
    features = environment.capture().cpu_features
    for outcome in outcomes:
        if base is None or outcome is base or outcome.status != "ok" or outcome.case.backend != base.case.backend:
            continue
        if outcome.inspected and base.inspected:
            _engines(outcome, base)
            continue
        outcome.layers = matched(outcome.layers, base.layers)
        outcome.told["finding"] = why_not_faster(outcome.layers, base.layers, features)


def _engines(outcome: Outcome, base: Outcome) -> None:
    """Of two engines layers are matched by the nodes that were fused into them; the inspector says what stayed wide."""
    own, other = (compare.Profiled.of(str(o.inspected), o.layers) for o in (outcome, base))
    outcome.layers = compare.beside(outcome.layers, own, other)
    outcome.told["finding"] = [
        {"kind": "why_not_faster", "subject": "engine", "severity": "warning", "message": words}
        for words in compare.why_not_faster(own.engine, own.ms)
    ]


def _is_float(outcome: Outcome) -> bool:
    """The one that the others are compared with: named by `against`, else the export or the given file."""
    case = outcome.case
    return case.is_base if case.against else case.recipe.recipe in ("given", "export")


CHECK = ProfileCheck()
